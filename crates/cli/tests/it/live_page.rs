//! The live page in a browser without a window: what it shows, how wide it is, and that it follows
//! the training. Without a browser it is skipped, and says so.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::program::folder;

/// A browser that is told what to do over two pipes, message by message, each with a zero byte at
/// its end.
struct Browser {
    process: Child,
    to: File,
    from: BufReader<File>,
    calls: u64,
    session: Option<String>,
}

impl Browser {
    /// The name of one that is installed.
    fn find() -> Option<&'static str> {
        let answers = |name: &&str| {
            Command::new(name).arg("--version").output().is_ok_and(|it| it.status.success())
        };
        ["chromium", "google-chrome"].into_iter().find(answers)
    }

    fn start(name: &str, folder: &Path) -> Self {
        let (to, from) = (folder.join("to"), folder.join("from"));
        let made = Command::new("mkfifo").args([&to, &from]).status().expect("there is mkfifo");
        assert!(made.success());
        // For both, so that no one waits for the other to open its end.
        let open = |path| OpenOptions::new().read(true).write(true).open(path).expect("is there");
        let script = "exec \"$0\" --headless --no-sandbox --disable-gpu --hide-scrollbars \
                      --remote-debugging-pipe --user-data-dir=\"$1\" 3<\"$2\" 4>\"$3\"";
        let process = Command::new("sh")
            .args(["-c", script, name])
            .args([&folder.join("profile"), &to, &from])
            .env("HOME", folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("there is a shell");
        let (to, from) = (open(&to), BufReader::new(open(&from)));
        let mut browser = Self { process, to, from, calls: 0, session: None };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", attach);
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        browser
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        self.calls += 1;
        let mut message = json!({ "id": self.calls, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.to.write_all(format!("{message}\0").as_bytes()).expect("it listens");
        loop {
            let mut answer = Vec::new();
            self.from.read_until(0, &mut answer).expect("it answers");
            let answer: Value = serde_json::from_slice(&answer[..answer.len() - 1]).expect("JSON");
            if answer["id"] == self.calls {
                return answer["result"].clone();
            }
        }
    }

    /// What an expression on the page comes to.
    fn ask(&mut self, expression: &str) -> Value {
        let answer = self.call("Runtime.evaluate", json!({ "expression": expression }));
        answer["result"]["value"].clone()
    }

    /// Asks until it is so.
    fn until(&mut self, expression: &str) {
        while self.ask(expression) != json!(true) {}
    }

    fn show(&mut self, page: &str, width: u64, colours: &str) {
        let size =
            json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500 });
        self.call("Emulation.setDeviceMetricsOverride", size);
        let dark = json!([{ "name": "prefers-color-scheme", "value": colours }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": dark }));
        self.call("Page.navigate", json!({ "url": page }));
        self.until("document.querySelectorAll('#replicas .past i').length > 0");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[allow(clippy::print_stderr, reason = "a test that is skipped says so")]
#[test]
fn the_live_page_names_the_slow_replica_and_fits_a_telephone() {
    let Some(name) = Browser::find() else { return eprintln!("skipped: there is no browser") };
    let folder = folder();
    let words = ["train", "--updates", "1000000", "-n", "3", "-a", "2", "--straggler", "1=40"];
    let mut training = Command::new(env!("CARGO_BIN_EXE_sync-replicas"))
        .args(words)
        .args(["--dashboard", "0", "--out", "a", "--eval-every", "50"])
        .current_dir(folder.path())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it is built");
    let mut lines = BufReader::new(training.stderr.take().expect("is piped")).lines();
    let page = lines.find_map(|line| line.ok()?.strip_prefix("live page: ").map(str::to_owned));
    let page = page.expect("it says where it is");
    std::thread::spawn(move || lines.for_each(drop));

    let mut browser = Browser::start(name, folder.path());
    browser.show(&page, 1200, "light");
    browser.until("document.getElementById('advice').textContent.includes('Replace replica 1')");
    browser.until("document.querySelectorAll('#test path').length === 1");
    let fits = "document.documentElement.scrollWidth <= innerWidth";
    assert_eq!(browser.ask(fits), json!(true));
    let updates = "Number(document.querySelector('#tiles b').textContent)";
    let before = browser.ask(updates).as_f64().expect("a number");
    browser.until(&format!("{updates} > {before}"));
    // Nothing that ends or changes anything.
    assert_eq!(browser.ask("document.querySelectorAll('button, form, input').length"), json!(0));

    browser.show(&page, 400, "dark");
    assert_eq!(browser.ask(fits), json!(true), "it is wider than a telephone");
    let paper = "getComputedStyle(document.body).backgroundColor";
    assert_eq!(browser.ask(paper), json!("rgb(18, 22, 29)"), "it is not dark");

    training.kill().expect("it runs");
    training.wait().expect("it ends");
    browser.until("document.body.classList.contains('gone')");
}
