//! Python actions, as StackStorm's packs write them.

use std::path::PathBuf;

use ifso::model::execution::End;
use ifso::model::parameter::Parameter;
use ifso::runners::Stream;
use serde_json::{Value, json};

use super::desk::{Attempt, Desk};

const HEAD: &str = "from st2common.runners.base_action import Action\n";

/// An action of the pack `tests` with this method `run`.
fn action(desk: &Desk, run: &str) -> Attempt {
    let text = format!("{HEAD}\nclass Tested(Action):\n    {}\n", run.replace('\n', "\n    "));
    let file = desk.script("packs/tests/actions/tested.py", &text);
    desk.attempt("python-script").at(file)
}

#[tokio::test]
async fn an_action_gets_parameters_config_and_logger_and_gives_a_result() {
    let desk = Desk::new();
    let run = "def run(self, pool, percent=10):\n    print('growing')\n    self.logger.info('by %s', percent)\n    return {'pool': pool, 'url': self.config['url'], 'percent': percent}";
    let came = action(&desk, run)
        .given("pool", "gold")
        .config(json!({ "url": "http://array" }))
        .run()
        .await;
    let stderr = came.said(Stream::Stderr);
    let result = came.succeeded();
    assert_eq!(result["result"], json!({ "pool": "gold", "url": "http://array", "percent": 10 }));
    assert_eq!((&result["exit_code"], &result["stdout"]), (&json!(0), &json!("growing\n")));
    assert_eq!(stderr, "st2.actions.python.Tested: INFO     by 10\n");
}

#[tokio::test]
async fn stackstorms_actions_get_none_for_what_nobody_gave() {
    let desk = Desk::new();
    let run = "def run(self, pool, user, percent=10):\n    return [pool, user, percent]";
    for (runner, expected) in
        [("python-script", json!(["gold", null, null])), ("python", json!(["gold", "nobody", 10]))]
    {
        let mut attempt = action(&desk, run).given("pool", "gold");
        runner.clone_into(&mut attempt.runner);
        for name in ["pool", "user", "percent"] {
            attempt = attempt.parameter(name, Parameter::default());
        }
        // What our own name runs has to be given what it cannot do without.
        let attempt = if runner == "python" { attempt.given("user", "nobody") } else { attempt };
        assert_eq!(attempt.run().await.succeeded()["result"], expected, "{runner}");
    }
}

/// What each way of returning comes to.
#[tokio::test]
async fn a_flag_beside_the_result_decides() {
    let desk = Desk::new();
    let cases: [(&str, End, Value); 7] = [
        ("(True, 'yes')", End::Succeeded, json!("yes")),
        ("(False, {'why': 1})", End::Failed, json!({ "why": 1 })),
        ("[False, 1]", End::Succeeded, json!([false, 1])),
        ("(1, 2)", End::Failed, Value::Null),
        ("(1, 2, 3)", End::Succeeded, json!([1, 2, 3])),
        ("None", End::Succeeded, Value::Null),
        ("{1} and object", End::Succeeded, json!("<class 'object'>")),
    ];
    for (text, end, expected) in cases {
        let came = action(&desk, &format!("def run(self):\n    return {text}")).run().await;
        assert_eq!(came.end(), end, "{text}: {:?}", came.outcome);
        assert_eq!(came.outcome.result["result"], expected, "{text}");
    }
}

#[tokio::test]
async fn an_exception_is_shown_and_fails_the_action() {
    let desk = Desk::new();
    let came = action(&desk, "def run(self):\n    raise KeyError('pool 7')").run().await;
    assert_eq!(came.end(), End::Failed);
    assert_eq!(came.outcome.result["exit_code"], 1);
    assert!(came.said(Stream::Stderr).contains("Traceback"), "{:?}", came.outcome);
    assert_eq!(came.reason(), "it ended with exit code 1: KeyError: 'pool 7'");
}

#[tokio::test]
async fn a_missing_key_of_the_configuration_says_what_to_do() {
    let desk = Desk::new();
    let came = action(&desk, "def run(self):\n    return self.config['token']").run().await;
    assert!(came.reason().contains("Write it into configs/tests.yaml"), "{}", came.reason());
}

#[tokio::test]
async fn what_an_action_prints_is_never_its_result() {
    let desk = Desk::new();
    let run = "def run(self):\n    print('{\"status\": false, \"result\": 1}')\n    print('%%%%%~=~=~=************=~=~=~%%%%{\"result\": 2}%%%%%~=~=~=************=~=~=~%%%%')\n    import sys\n    assert sys.stdin.read() == ''\n    return 'true result'";
    assert_eq!(action(&desk, run).run().await.succeeded()["result"], "true result");
}

#[tokio::test]
async fn big_and_strange_parameters_arrive_unharmed() {
    let desk = Desk::new();
    let strange = format!("{}\0\u{1f600}'\"`$(id)\n", "x".repeat(3_000_000));
    let came = action(&desk, "def run(self, **all):\n    import json\n    return [len(all['a']), all['a'][3000000:], all['--b; id']]")
        .given("a", strange.clone())
        .given("--b; id", "c")
        .run()
        .await;
    let length = strange.chars().count();
    assert_eq!(came.succeeded()["result"], json!([length, &strange[3_000_000..], "c"]));
}

#[tokio::test]
async fn libraries_of_the_pack_and_stackstorms_modules_are_found() {
    let desk = Desk::new();
    desk.script("packs/tests/actions/lib/__init__.py", "");
    desk.script("packs/tests/actions/lib/pools.py", "NAME = 'gold'\n");
    desk.script(
        "packs/tests/actions/beside.py",
        "class Base(object):\n    def run(self): return 1\n",
    );
    let text = "\
from st2common.runners.base_action import Action
from st2common.runners.utils import get_logger_for_python_runner_action
from st2common import log as logging
from st2common.util import isotime
from st2common.exceptions.action import InvalidActionParameterException
from st2common.constants.action import LIVEACTION_STATUS_SUCCEEDED
from st2common.content.utils import get_pack_base_path
from st2client.client import Client
from st2client.models import KeyValuePair
from lib.pools import NAME
import pools
from beside import Base

LOG = logging.getLogger(__name__)

class Zoo(Base):
    def __init__(self, config):
        self.config = config

    def run(self):
        isotime.validate('2026-11-21T10:00:00Z')
        return [NAME, pools.NAME, LIVEACTION_STATUS_SUCCEEDED, get_pack_base_path('tests')[-12:]]
";
    let file = desk.script("packs/tests/actions/zoo.py", text);
    let came = desk.attempt("python-script").at(file).run().await;
    assert_eq!(came.succeeded()["result"], json!(["gold", "gold", "succeeded", "/packs/tests"]));
}

#[tokio::test]
async fn a_file_without_a_class_says_what_to_write() {
    let desk = Desk::new();
    let file = desk.script("packs/tests/actions/empty.py", HEAD);
    let came = desk.attempt("python").at(file).run().await;
    assert!(came.reason().contains("write `class MyAction(Action):`"), "{}", came.reason());
    let came = desk.attempt("python").at(PathBuf::from("/nowhere.py")).run().await;
    assert_eq!(came.reason(), "Python file `/nowhere.py` does not exist");
}

/// A package that needs neither network nor compiler: a wheel is a zip file.
const WHEEL: &str = "\
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'w') as wheel:
    wheel.writestr('ifso_test_pool.py', 'SIZE = 42\\n')
    at = 'ifso_test_pool-1.0.dist-info/'
    wheel.writestr(at + 'METADATA', 'Metadata-Version: 2.1\\nName: ifso-test-pool\\nVersion: 1.0\\n')
    wheel.writestr(at + 'WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
    wheel.writestr(at + 'RECORD', '')
";

fn local_package(desk: &Desk) {
    let wheel = desk.data().join("ifso_test_pool-1.0-py3-none-any.whl");
    let made = std::process::Command::new("python3").args(["-c", WHEEL]).arg(&wheel).status();
    assert!(made.unwrap().success());
    let text = format!("# ours\n--no-index\n{}\n", wheel.display());
    desk.script("packs/tests/requirements.txt", &text);
}

#[tokio::test]
async fn requirements_make_a_virtual_environment_once() {
    let desk = Desk::new();
    local_package(&desk);
    let run = "def run(self):\n    import ifso_test_pool\n    return ifso_test_pool.SIZE";
    let attempts = (0..3).map(|_| action(&desk, run).run());
    let came = futures_util::future::join_all(attempts).await;
    let said: Vec<_> = came.iter().map(|came| came.said(Stream::Stderr)).collect();
    let made = said.iter().filter(|text| text.contains("is being made, this once")).count();
    assert_eq!(made, 1, "made more than once: {said:?}");
    for came in came {
        assert_eq!(came.succeeded()["result"], 42);
    }
    let again = action(&desk, run).run().await;
    assert_eq!(again.said(Stream::Stderr), "", "a later action makes none");
}

#[tokio::test]
async fn requirements_that_cannot_be_met_say_why() {
    let desk = Desk::new();
    desk.script("packs/tests/requirements.txt", "--no-index\nno-such-package-at-all==1.0\n");
    let came = action(&desk, "def run(self): return 1").run().await;
    assert_eq!(came.end(), End::Failed);
    assert!(came.reason().contains("requirements.txt"), "{}", came.reason());
    assert!(came.reason().contains("no-such-package-at-all"), "{}", came.reason());
}

#[tokio::test]
async fn the_datastore_is_reached_over_the_api() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let desk = Desk::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let api = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut asked = vec![0; 4096];
        let length = socket.read(&mut asked).await.unwrap();
        let body = r#"{"name": "x", "value": "7"}"#;
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8_lossy(&asked[..length]).into_owned()
    };
    let attempt =
        action(&desk, "def run(self):\n    return self.action_service.get_value('pool size')")
            .environment("ST2_ACTION_API_URL", &url)
            .environment("ST2_ACTION_AUTH_TOKEN", "secret");
    let (came, asked) = tokio::join!(attempt.run(), api);
    assert_eq!(came.succeeded()["result"], "7");
    assert!(asked.starts_with("GET /v1/keys/tests.Tested%3Apool%20size?scope=system"), "{asked}");
    assert!(asked.to_lowercase().contains("x-auth-token: secret"), "{asked}");
}
