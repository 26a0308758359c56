//! The wire, byte for byte.

use serde_json::json;

use super::*;

#[test]
fn short_tokens() {
    for (token, short) in [
        ("glrt-t1_abcdefghijkl", "abcdefghi"),
        ("glrt-abcdefghijkl", "abcdefghi"),
        ("t2_abcdefghijkl", "abcdefghi"),
        ("glrtr-abcdefghijkl", "abcdefghi"),
        ("glcbt-64_abcdefghijkl", "64_abcdef"),
        ("GR1348941abcdefghijkl", "abcdefghi"),
        ("GR12", "GR12"),
        ("GR134894zabcdefg", "GR134894z"),
        ("short", "short"),
        ("", ""),
        ("ääääääääää", "ääää"),
    ] {
        assert_eq!(short_token(token), short, "{token}");
    }
}

#[test]
fn a_payload_full_of_nulls_reads_as_empty() {
    let payload = json!({
        "id": 7, "token": "t", "allow_git_fetch": null, "job_info": null, "git_info": {"ref_type": null, "refspecs": null},
        "runner_info": {"timeout": null}, "inputs": null, "variables": null, "steps": null, "image": null,
        "services": null, "artifacts": null, "cache": null, "credentials": null, "dependencies": null, "features": null,
        "secrets": null, "hooks": null, "policy_options": null, "suspend_options": null, "something_new": [1],
    });
    let job: JobResponse = serde_json::from_value(payload).unwrap();
    assert_eq!(job.id, 7);
    assert!(job.variables.is_empty() && job.run.is_empty() && job.tasuki.is_none());
}

#[test]
fn absent_stays_absent() {
    let job: JobResponse = serde_json::from_value(json!({"id": 1, "token": "t"})).unwrap();
    let written = serde_json::to_value(&job).unwrap();
    for key in [
        "run",
        "inputs",
        "secrets",
        "hooks",
        "policy_options",
        "suspend_options",
        "tasuki",
    ] {
        assert!(written.get(key).is_none(), "{key} must not be sent");
    }
    let text = written.to_string();
    assert!(
        !text.contains("null"),
        "a stock runner drops a job with null in a strict place: {text}"
    );
    assert_eq!(serde_json::from_value::<JobResponse>(written).unwrap(), job);
}

#[test]
fn a_user_is_text_or_number() {
    for (value, shown) in [(json!("root:wheel"), "root:wheel"), (json!(1000), "1000")] {
        let image: Image =
            serde_json::from_value(json!({"name": "a", "executor_opts": {"kubernetes": {"user": value}}})).unwrap();
        let user = image.executor_opts.kubernetes.unwrap().user.unwrap();
        assert_eq!(user.to_string(), shown);
        assert_eq!(serde_json::to_value(&user).unwrap(), value);
    }
    for bad in [json!(1.5), json!([]), json!(true)] {
        let image = json!({"name": "a", "executor_opts": {"docker": {"user": bad}}});
        assert!(serde_json::from_value::<Image>(image).is_err());
    }
}

#[test]
fn unknown_executor_options_are_found() {
    let image: Image = serde_json::from_value(
        json!({"name": "a", "executor_opts": {"docker": {"platform": "linux/amd64", "gpu": 1}, "podman": {}}}),
    )
    .unwrap();
    assert_eq!(image.executor_opts.unsupported(), ["podman", "docker.gpu"]);
}

#[test]
fn features_are_a_map_of_booleans() {
    let features: Features = ["cancelable", "tasuki"].into_iter().collect();
    assert_eq!(
        serde_json::to_value(&features).unwrap(),
        json!({"cancelable": true, "tasuki": true})
    );
    let read: Features =
        serde_json::from_value(json!({"image": true, "shared": false, "odd": {"x": 1}, "null": null})).unwrap();
    assert_eq!(read.iter().collect::<Vec<_>>(), ["image"]);
}

#[test]
fn updates_leave_zero_out() {
    let update = UpdateJob {
        info: Info::default(),
        token: tasuki_model::secret::Secret::new("t"),
        state: JobState::Success.as_str().to_owned(),
        failure_reason: String::new(),
        checksum: String::new(),
        output: Output::default(),
        exit_code: 0,
        outputs: std::collections::BTreeMap::new(),
        runtime_environment_key: None,
    };
    let written = serde_json::to_value(&update).unwrap();
    let keys: Vec<_> = written.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["info", "token", "state"]);
    assert_eq!(checksum(0xab), "crc32:000000ab");
}

#[test]
fn exit_codes_are_folded_into_32_bits() {
    let check = |sent: serde_json::Value, read: i32| {
        let update: UpdateJob =
            serde_json::from_value(json!({"state": "failed", "exit_code": sent, "output": {"bytesize": -1}})).unwrap();
        assert_eq!((update.exit_code, update.output.bytesize), (read, 0), "{sent}");
        assert!(update.token.expose().is_empty(), "the header has it");
    };
    check(json!(3), 3);
    check(json!(-1), -1);
    check(json!(null), 0);
    check(json!(0xC000_013A_u32), -1_073_741_510);
    check(json!(5_000_000_000_i64), i32::MAX);
    check(json!(-5_000_000_000_i64), i32::MIN);
}

#[test]
fn ranges() {
    assert_eq!(
        ContentRange {
            start: 5,
            end_inclusive: 9
        }
        .to_string(),
        "5-9"
    );
    assert_eq!(
        "5-9".parse(),
        Ok(ContentRange {
            start: 5,
            end_inclusive: 9
        })
    );
    assert_eq!("0-12".parse(), Ok(StoredRange { stored: 12 }));
    for bad in ["", "5", "a-b", "-"] {
        assert!(bad.parse::<ContentRange>().is_err(), "{bad}");
    }
}

#[test]
fn errors_are_flattened() {
    for (message, flat) in [
        (json!("no"), "no"),
        (json!({"tags": ["a", "b"], "base": ["c"]}), "tags: a, b; base: c"),
        (json!(["x"]), "x"),
    ] {
        assert_eq!(ErrorBody { message }.flat(), flat);
    }
}

#[test]
fn debug_hides_masked_values() {
    let variable = JobVariable {
        masked: true,
        ..JobVariable::public("K", "hunter2")
    };
    assert!(!format!("{variable:?}").contains("hunter2"));
}
