const fs = require('fs');

const who = process.env['INPUT_WHO-PACKS'];
fs.writeFileSync('STAMP', `packed by ${who}\n`);
fs.appendFileSync(process.env.GITHUB_STATE, 'file=STAMP\n');
console.log(`stamped by ${who}`);
