//! A server with `https` on this machine, for one folder.

use std::{fs, path::PathBuf, process::Command};

use crate::{bins::tool, fixture::Folder, processes::Watched};

/// Says its port, and serves the folder it stands in; `/to?URL` leads on to a URL.
const SERVER: &str = r"
import http.server, ssl, sys
class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        if not self.path.startswith('/to?'):
            return super().do_GET()
        self.send_response(302)
        self.send_header('Location', self.path[4:])
        self.end_headers()
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(*sys.argv[1:])
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
";

const CERTIFICATES: &str = "[req]\ndistinguished_name = subject\n[subject]\n[ca]\nbasicConstraints = critical, CA:TRUE\n\
                            [server]\nbasicConstraints = CA:FALSE\nsubjectAltName = IP:127.0.0.1, DNS:localhost\n";

/// The server. It ends when dropped.
pub struct Https {
    pub folder: Folder,
    /// Who vouches for it, for `SSL_CERT_FILE`.
    pub authority: PathBuf,
    port: u64,
    _process: Watched,
}

impl Https {
    pub fn start() -> Self {
        let (folder, keys) = (Folder::new(), Folder::new());
        let config = keys.write("openssl.cnf", CERTIFICATES);
        let path = |name: &str| keys.join(name).to_str().unwrap().to_owned();
        for (name, signer) in [("ca", &[][..]), ("server", &["-CA", &path("ca.crt"), "-CAkey", &path("ca.key")])] {
            let subject = format!("/CN={name}");
            let fixed = ["req", "-x509", "-config", config.to_str().unwrap(), "-extensions", name, "-subj", &subject];
            let key = ["-days", "7", "-noenc", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
            let (key_file, certificate) = (path(&format!("{name}.key")), path(&format!("{name}.crt")));
            tool("openssl", &[&fixed[..], &key[..], signer, &["-keyout", &key_file, "-out", &certificate]].concat());
        }
        let mut command = Command::new("python3");
        command.args(["-c", SERVER, &path("server.crt"), &path("server.key")]).current_dir(folder.path());
        command.stderr(fs::File::create(keys.join("log")).unwrap());
        let mut process = Watched::start(command);
        let port = process.wait_for("its port", serde_json::Value::is_u64).as_u64().unwrap();
        let authority = folder.join(".authority");
        fs::copy(keys.join("ca.crt"), &authority).unwrap();
        Self { folder, authority, port, _process: process }
    }

    /// The address of a file.
    pub fn url(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}/{path}", self.port)
    }
}
