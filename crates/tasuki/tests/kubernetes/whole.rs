//! Whole jobs: a real server, a runner, pods, caches in a folder of the node and in an object store, sources on a claim.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use super::cluster::{busybox, helper, kubectl, left, said, variable};
use super::serving::{Runner, Serving, address};
use super::world::World;

const SECRET: &str = "hidden-in-the-log";

const CONFIG: &str = "\
stages: [one, two]
make:
  stage: one
  rules: [{if: '$STEP == \"work\"'}]
  cache: {key: deps, paths: [deps]}
  script:
    - test -e .git && cat committed
    - if [ -e deps/file ]; then echo \"cached $(cat deps/file)\"; else echo nothing cached; fi
    - echo archives $(find /cache -name cache.zip | wc -l)
    - mkdir -p deps && if [ ! -e deps/file ]; then echo \"by $CI_PIPELINE_ID\" > deps/file; fi
    - if [ -e .git/mark ]; then echo same repository; fi; touch .git/mark
    - echo built by $CI_PIPELINE_ID > out.txt
  artifacts: {paths: [out.txt]}
use:
  stage: two
  rules: [{if: '$STEP == \"work\"'}]
  script: ['echo \"artifact: $(cat out.txt)\"', test ! -e deps]
  after_script: [echo status $CI_JOB_STATUS]
forget:
  stage: one
  rules: [{if: '$STEP == \"forget\"'}]
  variables: {GIT_STRATEGY: none}
  script: ['rm -rf /cache/* && test -z \"$(ls /cache)\"']
told:
  stage: one
  rules: [{if: '$STEP == \"told\"'}]
  variables: {CI_DEBUG_SERVICES: 'true', GIT_STRATEGY: none}
  services:
    - name: IMAGE
      alias: teller
      command: [sh, -c, 'echo \"it is hidden-in-the-log, and ${SECRET-none in its environment}\"; printf hidden-in; sleep 1; echo -the-log; exec sleep 600']
  script: [sleep 4]
";

/// A store of somebody else's, at every address of this machine.
struct Store {
    port: String,
}

impl Store {
    fn new() -> Self {
        let told = variable("TASUKI_TEST_S3").expect("TASUKI_TEST_S3 is a store; run `cargo xtask test kubernetes`");
        let port = told.rsplit(':').next().unwrap().to_owned();
        Self { port }
    }

    /// Sends a request whose signature is none, which moto takes; gives the status and the body.
    fn ask(&self, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let mut stream = TcpStream::connect(format!("127.0.0.1:{}", self.port)).unwrap();
        let signed =
            "AWS4-HMAC-SHA256 Credential=id/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nAuthorization: {signed}\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let status = String::from_utf8_lossy(&answer[9..12]).parse().unwrap();
        (status, answer[end + 4..].to_vec())
    }

    /// Names of what is in a bucket.
    fn names(&self, bucket: &str) -> Vec<String> {
        let (status, text) = self.ask("GET", &format!("/{bucket}"), b"");
        assert_eq!(status, 200);
        let text = String::from_utf8(text).unwrap();
        let keys = text.split("<Key>").skip(1);
        keys.map(|key| key.split('<').next().unwrap().to_owned()).collect()
    }
}

/// A claim for the one slot, with a folder of the node, in a namespace of its own.
struct Place {
    namespace: String,
    folder: String,
}

impl Place {
    fn new(world: &World) -> Self {
        let namespace = format!("tasuki-whole-{}", std::process::id());
        let folder = format!("/var/tmp/{namespace}");
        let objects = format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: {namespace}}}\n---\n\
             apiVersion: v1\nkind: PersistentVolume\nmetadata: {{name: {namespace}}}\n\
             spec: {{capacity: {{storage: 1Gi}}, accessModes: [ReadWriteOnce], storageClassName: '', \
             claimRef: {{namespace: {namespace}, name: build-pvc-0}}, hostPath: {{path: {folder}/builds, type: DirectoryOrCreate}}}}\n---\n\
             apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: build-pvc-0, namespace: {namespace}}}\n\
             spec: {{accessModes: [ReadWriteOnce], storageClassName: '', volumeName: {namespace}, resources: {{requests: {{storage: 1Gi}}}}}}\n"
        );
        let file = world.path("objects.yaml");
        std::fs::write(&file, objects).unwrap();
        said(&mut kubectl(&["apply", "-f", &file.display().to_string()]));
        Self { namespace, folder }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(kubectl(&["delete", "namespace", &self.namespace, "--wait=false"]).output());
        drop(kubectl(&["delete", "persistentvolume", &self.namespace, "--wait=false"]).output());
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// Covers: GK-LIFE-03, GK-LIFE-05, GK-LIFE-06, GK-CACHE-03, GK-CACHE-04, GK-CACHE-05, GK-VOL-47
#[test]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
fn jobs_have_their_sources_caches_and_artifacts_in_pods() {
    let (world, store) = (World::new(), Store::new());
    let (place, serving) = (Place::new(&world), Serving::start(&world));
    let config = CONFIG.replace("IMAGE", &busybox());
    let dir = world.repository("app", &[(".gitlab-ci.yml", &config), ("committed", "first commit\n")]);
    let token = serving.project(&world, &dir);
    let here = world.folder.path();
    world
        .run(
            here,
            &["variable", "set", "group/app", "SECRET", "--value", SECRET, "--masked"],
        )
        .expect(0);
    let bucket = format!("caches-{}", std::process::id());
    assert_eq!(store.ask("PUT", &format!("/{bucket}"), b"").0, 200);
    let url = &serving.url;
    let (namespace, folder) = (&place.namespace, &place.folder);
    let runner = format!(
        "concurrent = 1\n[[runners]]\nname = \"pods\"\nurl = \"{url}\"\ntoken = \"{token}\"\nexecutor = \"kubernetes\"\n\
         [runners.cache]\nType = \"s3\"\nPath = \"ci\"\nShared = true\n[runners.cache.s3]\nServerAddress = \"{}:{}\"\nInsecure = true\n\
         BucketName = \"{bucket}\"\nAccessKey = \"id\"\nSecretKey = \"key-of-the-store\"\n\
         [runners.kubernetes]\nnamespace = \"{namespace}\"\nimage = {:?}\nhelper_image = {:?}\npull_policy = \"if-not-present\"\n\
         [[runners.kubernetes.volumes.pvc]]\nname = \"build-pvc-$CI_CONCURRENT_ID\"\nmount_path = \"/builds\"\n\
         [[runners.kubernetes.volumes.host_path]]\nname = \"cache\"\nmount_path = \"/cache\"\nhost_path = \"{folder}/cache\"\n",
        address(),
        store.port,
        busybox(),
        helper(),
    );
    let runner = Runner::start(&world, &runner);
    let run = |step: &str| -> String {
        let step = format!("STEP={step}");
        let ran = world.run(here, &["pipeline", "run", "group/app", "--var", &step, "--wait"]);
        let log = || std::fs::read_to_string(world.path("runner.log")).unwrap();
        assert_eq!(ran.code, 0, "{} {} {}", ran.out, ran.err, log());
        let text = ran.out + &ran.err;
        assert!(!text.contains("key-of-the-store"), "{text}");
        text
    };
    let has = |text: &str, wanted: &[&str]| {
        for wanted in wanted {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
    };

    let first = run("work");
    has(
        &first,
        &[
            "first commit",
            "nothing cached",
            "archives 0",
            "artifact: built by 1",
            "status success",
            "Created fresh repository",
        ],
    );
    let names = store.names(&bucket);
    assert_eq!(names.len(), 1, "{names:?}");

    // Sources are fetched into what lies on the claim, and the cache is the volume's: the store has none.
    let object = format!("/{bucket}/{}", names[0]);
    let (status, archive) = store.ask("GET", &object, b"");
    assert!(status == 200 && archive.starts_with(b"PK"), "{status}");
    assert_eq!(store.ask("DELETE", &object, b"").0, 204);
    world.commit(&dir, &[("committed", "second commit\n")], "Second");
    let second = run("work");
    has(
        &second,
        &[
            "second commit",
            "cached by 1",
            "archives 1",
            "same repository",
            "Fetching changes",
            "artifact: built by 2",
        ],
    );
    assert!(!second.contains("Created fresh repository"), "{second}");
    assert_eq!(store.names(&bucket), Vec::<String>::new());

    // Now the volume has none: it is the store's, and is kept there.
    assert_eq!(store.ask("PUT", &object, &archive).0, 200);
    run("forget");
    has(&run("work"), &["cached by 1", "archives 1"]);

    let told = run("told");
    has(
        &told,
        &[
            "[service:teller] it is [MASKED], and none in its environment",
            "[service:teller] [MASKED]",
        ],
    );
    assert!(!told.contains(SECRET) && !told.contains("hidden-in"), "{told}");
    runner.end();
    assert_eq!(left(), Vec::<String>::new());
}
