//! Debian's Prometheus, which scrapes one target and alerts on `pool_used > 80`.

use super::program::Program;

/// Starts it; `target` is what it scrapes, `alertmanagers` are who it tells (`host:port` each).
pub async fn start(target: &str, alertmanagers: &[&str]) -> Program {
    let rules = r#"
groups:
  - name: pools
    interval: 1s
    rules:
      - alert: PoolFull
        expr: pool_used > 80
        labels: { severity: warning }
        annotations: { summary: "pool {{ $labels.pool }} is {{ $value }} % full" }
"#;
    // Read at the start, which is awaited below.
    let rules_file = tempfile::Builder::new().suffix(".yml").tempfile().unwrap();
    std::fs::write(rules_file.path(), rules).unwrap();
    let config = format!(
        "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}
rule_files: ['{rules}']
alerting:
  alertmanagers:
    - static_configs: [{{ targets: {alertmanagers:?} }}]
scrape_configs:
  - job_name: pools
    static_configs: [{{ targets: ['{target}'] }}]
",
        rules = rules_file.path().display(),
    );
    let arguments = [
        "--config.file={folder}/prometheus.yml",
        "--storage.tsdb.path={folder}/tsdb",
        "--web.listen-address={address}",
        "--rules.alert.resend-delay=1s",
    ];
    Program::start("/usr/bin/prometheus", ("prometheus.yml", &config), &arguments, "/-/ready").await
}
