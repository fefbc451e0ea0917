//! Debian's Alertmanager, which tells one webhook, soon and again and again.

use super::program::Program;

/// Starts it; it posts to `webhook` with `token`.
pub async fn start(webhook: &str, token: &str) -> Program {
    let config = format!(
        "route: {{ receiver: ifso, group_by: [alertname], group_wait: 100ms, group_interval: 1s, repeat_interval: 1s }}
receivers:
  - name: ifso
    webhook_configs:
      - url: {webhook}
        http_config: {{ authorization: {{ credentials: {token} }} }}
",
    );
    let arguments = [
        "--config.file={folder}/alertmanager.yml",
        "--storage.path={folder}/state",
        "--web.listen-address={address}",
        "--cluster.listen-address=",
    ];
    let file = ("alertmanager.yml", config.as_str());
    Program::start("/usr/bin/prometheus-alertmanager", file, &arguments, "/-/ready").await
}
