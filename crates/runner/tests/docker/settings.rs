//! Keys of `[runners.docker]` and what they do in the container.

use tasuki_runner::executor::{Exit, Task};

use crate::conformance::task;
use crate::engine::{chain, docker, place, run_in, script};

#[tokio::test]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn keys_take_effect() {
    let check = async |config: &str, text: &str, wanted: &str| {
        let place = place(config);
        let sandbox = place.sandbox(task()).await;
        let (ended, printed) = run_in(&*sandbox, script(text)).await;
        assert_eq!((ended.exit, printed.as_str()), (Exit::Code(0), wanted), "{config}");
        sandbox.teardown().await.expect("is torn down");
        place.ends().await;
    };
    check("hostname = \"named\"", "hostname", "named\n").await;
    check(
        "extra_hosts = [\"other:10.1.2.3\"]",
        "grep other /etc/hosts | tr '\\t' ' '",
        "10.1.2.3 other\n",
    )
    .await;
    check("[ulimit]\nnofile = \"100:200\"", "ulimit -Sn; ulimit -Hn", "100\n200\n").await;
    check(
        "[tmpfs]\n\"/scratch\" = \"rw,size=1m\"",
        "grep -c ' /scratch tmpfs ' /proc/mounts",
        "1\n",
    )
    .await;
    check(
        "[sysctls]\n\"net.ipv4.ip_unprivileged_port_start\" = \"80\"",
        "cat /proc/sys/net/ipv4/ip_unprivileged_port_start",
        "80\n",
    )
    .await;
    check(
        "shm_size = 8388608",
        "df -k /dev/shm | tail -1 | awk '{print $2}'",
        "8192\n",
    )
    .await;
    check("user = \"user\"", "id -un", "user\n").await;
    check("group_add = [\"audio\"]", "id -G", "0 29\n").await;
    check(
        "cap_drop = [\"ALL\"]",
        "grep CapEff /proc/self/status | cut -f2",
        "0000000000000000\n",
    )
    .await;
    check(
        "mac_address = \"02:42:00:11:22:33\"",
        "cat /sys/class/net/eth0/address",
        "02:42:00:11:22:33\n",
    )
    .await;
    check("network_mode = \"none\"", "ls /sys/class/net", "lo\n").await;
    check("network_mtu = 1400", "cat /sys/class/net/eth0/mtu", "1400\n").await;
    check(
        "dns = [\"10.9.8.7\"]\nnetwork_mode = \"bridge\"",
        "grep nameserver /etc/resolv.conf",
        "nameserver 10.9.8.7\n",
    )
    .await;
    check(
        "memory = \"64m\"",
        "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max",
        "67108864\n",
    )
    .await;
    check(
        "pid_mode = \"host\"",
        "test $$ -gt 50 && echo of the machine",
        "of the machine\n",
    )
    .await;
    check("[container_labels]\nteam = \"a\"", "true", "").await;
}

/// The engine's own init, where the flag asks for it: in the configuration, else in the job.
#[tokio::test]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn an_init_of_the_engines() {
    for (flag, wanted) in [("false", "false"), ("true", "true")] {
        let place = place("");
        let task = Task {
            variables: vec![("FF_USE_INIT_WITH_DOCKER_EXECUTOR".to_owned(), flag.to_owned())],
            ..task()
        };
        let sandbox = place.sandbox(task).await;
        let text = "tr '\\0' ' ' < /proc/1/cmdline | grep -q -e '^/sbin/docker-init ' && echo true || echo false; (sleep 0.1 &) ; exit 3";
        let (ended, printed) = run_in(&*sandbox, script(text)).await;
        assert_eq!((ended.exit, printed.trim()), (Exit::Code(3), wanted));
        sandbox.teardown().await.expect("is torn down");
        place.ends().await;
    }
}

#[tokio::test]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn too_much_memory_is_told() {
    let place = place("memory = \"32m\"\nmemory_swap = \"32m\"");
    let sandbox = place.sandbox(task()).await;
    let (ended, printed) = run_in(&*sandbox, script("x=a; while :; do x=$x$x; done")).await;
    assert!(!ended.exit.success(), "{printed}");
    assert!(
        printed.contains("for want of memory: its container may use 32 MiB"),
        "{printed}"
    );
    let (ended, _) = run_in(&*sandbox, script("exit 3")).await;
    assert_eq!(ended.exit, Exit::Code(3), "the next script runs");
    sandbox.teardown().await.expect("is torn down");
    place.ends().await;
}

/// An engine that may not give privileges (in a machine without all capabilities) says so, which shows that it was asked.
#[tokio::test]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn privileges_are_what_is_allowed() {
    for (config, wanted) in [
        ("", "no"),
        ("privileged = true", "yes"),
        ("privileged = true\nallowed_privileged_images = [\"docker:*\"]", "no"),
        (
            "privileged = true\nallowed_privileged_images = [\"tasuki-test/*:*\"]",
            "yes",
        ),
    ] {
        let place = place(config);
        let (made, printed) = place.prepare(task()).await;
        let sandbox = match made {
            Err(error) if wanted == "yes" && chain(&error).contains("unable to apply caps") => {
                println!("SKIPPED: this engine cannot start privileged containers");
                continue;
            }
            made => made.unwrap_or_else(|error| panic!("{}: {printed}", chain(&error))),
        };
        let text = "mkdir /m; mount -t tmpfs none /m 2>/dev/null && echo yes || echo no";
        let (_, printed) = run_in(&*sandbox, script(text)).await;
        assert_eq!(printed.trim(), wanted, "{config}");
        sandbox.teardown().await.expect("is torn down");
        place.ends().await;
    }
}

/// Covers: GM-DOCK-04
#[tokio::test]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn caches_stay_unless_disabled() {
    let task = task();
    for (config, second) in [("", "kept\n"), ("disable_cache = true", "")] {
        let place = place(&format!("volumes = [\"/mine\"]\n{config}"));
        let mut printed = String::new();
        for _ in 0..2 {
            let sandbox = place.sandbox(task.clone()).await;
            (_, printed) = run_in(&*sandbox, script("cat /mine/file 2>/dev/null; echo kept > /mine/file")).await;
            sandbox.teardown().await.expect("is torn down");
        }
        assert_eq!(printed, second, "{config}");
        place.ends().await;
    }
    let caches = docker(&["volume", "ls", "-q", "--filter", "label=io.tasuki.kept=cache"]);
    let mut remove = vec!["volume", "rm", "-f"];
    remove.extend(caches.split_whitespace());
    docker(&remove);
}

/// A folder of the machine instead of a volume of the job's own: shared, and empty again afterwards.
#[tokio::test]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn sources_may_lie_on_the_machine() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = place(&format!("volumes = [\"{}:/builds\"]", folder.path().display()));
    let sandbox = place.sandbox(task()).await;
    let project = sandbox.paths().project.clone();
    assert!(project.starts_with("/builds/conform12"), "{}", project.display());
    run_in(&*sandbox, script("mkdir a; touch a/b; chmod 0 a")).await;
    let outside = folder.path().join(project.strip_prefix("/builds").expect("is below"));
    assert!(outside.join("a").exists());
    sandbox.teardown().await.expect("is torn down");
    assert!(!outside.exists());
    place.ends().await;
}
