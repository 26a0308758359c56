//! Figures, on demand: `cargo test --release -p tasuki-store --test suite -- --ignored --nocapture bench`.
#![expect(clippy::print_stdout, reason = "figures are what it is for")]

use tasuki_store::bench;

use crate::on_each_database;

on_each_database! {
    #[ignore = "measures; takes long"]
    fn claim_start_log_finish(database) {
        if let tasuki_store::DbUrl::Postgres(url) = &database.url {
            let mut client = postgres::Client::connect(url, postgres::NoTls).unwrap();
            client.batch_execute("ALTER SYSTEM SET fsync = on").unwrap();
            client.batch_execute("SELECT pg_reload_conf()").unwrap();
            std::thread::sleep(std::time::Duration::from_millis(200));
            let fsync: String = client.query_one("SHOW fsync", &[]).unwrap().get(0);
            assert_eq!(fsync, "on");
        }
        let store = database.open();
        for workers in [1, 16, 64, 256] {
            let report = bench::run(&store, if workers == 1 { 1000 } else { 20_000 }, 100, workers).unwrap();
            println!(
                "{} workers={workers} {:.0} jobs/s claim p50 {:?} p99 {:?} created {} jobs in {:?}",
                database.url.to_string().split(':').next().unwrap(),
                report.jobs_per_s(), report.claim_p50, report.claim_p99, report.jobs, report.created,
            );
        }
        let large = bench::run(&store, 10_000, 10_000, 64).unwrap();
        println!("a pipeline of 10,000 jobs was created in {:?}", large.created);
    }
}
