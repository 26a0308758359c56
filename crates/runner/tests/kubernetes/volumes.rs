//! Volumes.

use serde_json::json;

use super::golden::{case, golden};

fn volume(kind: &str, keys: &str) -> String {
    format!("[[runners.kubernetes.volumes.{kind}]]\n{keys}\n")
}

/// Covers: GK-CFG-63
/// Covers: GK-VOL-01
/// Covers: GK-VOL-02
/// Covers: GK-VOL-05
/// Covers: GK-VOL-06
/// Covers: GK-VOL-07
/// Covers: GK-VOL-08
/// Covers: GK-VOL-09
/// Covers: GK-VOL-10
/// Covers: GK-VOL-12
/// Covers: GK-VOL-13
/// Covers: GK-VOL-14
/// Covers: GK-VOL-15
/// Covers: GK-VOL-17
/// Covers: GK-VOL-18
/// Covers: GK-VOL-19
/// Covers: GK-VOL-23
/// Covers: GK-VOL-25
/// Covers: GK-VOL-26
/// Covers: GK-VOL-27
/// Covers: GK-VOL-32
/// Covers: GK-VOL-33
/// Covers: GK-VOL-34
/// Covers: GK-VOL-38
/// Covers: GK-VOL-39
/// Covers: GK-VOL-40
/// Covers: GK-VOL-41
/// Covers: GK-VOL-42
/// Covers: GK-VOL-49
#[test]
fn of_each_kind() {
    let service = json!({"services": [{"name": "redis:7"}]});
    golden(
        "volumes",
        &[
            case("host path", &volume("host_path", "name = \"hostpath-1\"\nmount_path = \"/path/to/mount/point\"")),
            case(
                "host path, all keys",
                &volume("host_path", "name = \"h\"\nmount_path = \"/m\"\nhost_path = \"/on/host\"\nsub_path = \"s/$CI_COMMIT_REF_SLUG\"\nread_only = true\nmount_propagation = \"HostToContainer\""),
            ),
            case("claim", &volume("pvc", "name = \"pvc-1\"\nmount_path = \"/m\"")).job(service.clone()),
            case(
                "claim, all keys",
                &volume("pvc", "name = \"build-pvc-$CI_CONCURRENT_ID\"\nmount_path = \"/m\"\nsub_path = \"s\"\nread_only = true\nmount_propagation = \"Bidirectional\""),
            ),
            case("config map", &volume("config_map", "name = \"c\"\nmount_path = \"/m\"")),
            case(
                "config map, all keys",
                &volume("config_map", "name = \"c\"\nmount_path = \"/m\"\nsub_path = \"s\"\nread_only = true\n[runners.kubernetes.volumes.config_map.items]\nkey_1 = \"relative/path\"\nkey_2 = \"x\""),
            ),
            case(
                "secret, all keys",
                &volume("secret", "name = \"s\"\nmount_path = \"/m\"\nsub_path = \"s\"\nread_only = true\n[runners.kubernetes.volumes.secret.items]\nkey_1 = \"relative/path\""),
            ),
            case("secret", &volume("secret", "name = \"s\"\nmount_path = \"/m\"")),
            case("empty dir", &volume("empty_dir", "name = \"e\"\nmount_path = \"/m\"\nmedium = \"\"")),
            case(
                "empty dir, all keys",
                &volume("empty_dir", "name = \"mysql-tmpfs\"\nmount_path = \"/var/lib/mysql\"\nmedium = \"Memory\"\nsize_limit = \"1Gi\"\nsub_path = \"s\"\nmount_propagation = \"None\""),
            )
            .job(service),
            case("csi", &volume("csi", "name = \"c\"\nmount_path = \"/m\"\ndriver = \"d\"")),
            case(
                "csi, all keys",
                &volume("csi", "name = \"c\"\nmount_path = \"/m\"\ndriver = \"my-csi-driver\"\nfs_type = \"ext4\"\nsub_path = \"s\"\nread_only = true\n[runners.kubernetes.volumes.csi.volume_attributes]\nsize = \"2Gi\""),
            ),
            case("nfs", &volume("nfs", "name = \"n\"\nmount_path = \"/m\"\nserver = \"nfs.example.com\"\npath = \"/export\"\nread_only = true\nsub_path = \"s\"")),
            case(
                "several",
                &format!(
                    "{}{}{}",
                    volume("pvc", "name = \"p\"\nmount_path = \"/a\"\nsub_path = \"a\""),
                    volume("pvc", "name = \"p\"\nmount_path = \"/b\"\nsub_path = \"b\""),
                    volume("secret", "name = \"s\"\nmount_path = \"/c\"")
                ),
            ),
        ],
    );
}

/// Covers: GK-VOL-44
/// Covers: GK-CFG-69
/// Covers: GK-CFG-70
/// Covers: GK-DIRS-01
/// Covers: GK-DIRS-03
/// Covers: GK-DIRS-05
/// Covers: GK-DIRS-06
#[test]
fn folders() {
    golden(
        "folders",
        &[
            case(
                "a claim for the builds",
                &volume("pvc", "name = \"b\"\nmount_path = \"/builds\""),
            ),
            case(
                "a claim below the builds",
                &volume("pvc", "name = \"b\"\nmount_path = \"/builds/group\""),
            ),
            case(
                "a claim for the cache",
                &volume("pvc", "name = \"c\"\nmount_path = \"/cache/\""),
            ),
            case("other folders", "").runner("builds_dir = \"/b\"\ncache_dir = \"/c\""),
            case("logs", "logs_base_dir = \"/tmp\""),
            case("scripts", "scripts_base_dir = \"/tmp\""),
            case("a slash at the end", "logs_base_dir = \"/tmp/\""),
            case("not absolute", "scripts_base_dir = \"tmp\""),
            case("up", "scripts_base_dir = \"/tmp/../etc\""),
            case("builds that are no folder", "").runner("builds_dir = \"builds\""),
        ],
    );
}

/// Covers: GK-VOL-03
/// Covers: GK-VOL-04
/// Covers: GK-VOL-11
/// Covers: GK-VOL-16
/// Covers: GK-VOL-24
/// Covers: GK-VOL-30
/// Covers: GK-VOL-31
/// Covers: GK-VOL-35
/// Covers: GK-VOL-36
/// Covers: GK-VOL-37
#[test]
fn what_is_missing() {
    let kinds = ["host_path", "pvc", "config_map", "secret", "empty_dir", "csi", "nfs"];
    let mut cases: Vec<_> = kinds.iter().map(|kind| case(kind, &volume(kind, ""))).collect();
    cases.push(case(
        "a size that is none",
        &volume("empty_dir", "name = \"e\"\nmount_path = \"/m\"\nsize_limit = \"big\""),
    ));
    cases.push(case(
        "a propagation that is none",
        &volume("pvc", "name = \"e\"\nmount_path = \"/m\"\nmount_propagation = \"Up\""),
    ));
    golden("volumes_missing", &cases);
}
