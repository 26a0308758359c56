#!/bin/sh
# Checks the rules of the race and writes a JUnit report.
set -eu
for leg in legs/*.sh; do
    sh -n "$leg"
    echo "$leg may run"
done
cat > report.xml <<'XML'
<testsuite name="rules" tests="1" failures="0"><testcase classname="rules" name="legs may run"/></testsuite>
XML
