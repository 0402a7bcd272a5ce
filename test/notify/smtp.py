"""A mail server for the tests: aiosmtpd with STARTTLS or TLS and a login. Prints its port, then each mail as a line of JSON."""
import json, ssl, sys, time
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

mode, cert, key = sys.argv[1:4]

class Keep:
    async def handle_DATA(self, server, session, envelope):
        print(json.dumps({"from": envelope.mail_from, "to": envelope.rcpt_tos, "tls": session.ssl is not None or mode == "smtps",
            "user": getattr(session, "auth_data", None) and session.auth_data.login.decode(),
            "text": envelope.content.decode("utf-8", "replace")}), flush=True)
        return "250 OK"

def login(server, session, envelope, mechanism, auth_data):
    good = auth_data.login == b"ops" and auth_data.password == b"correct horse"
    return AuthResult(success=good, handled=False, auth_data=auth_data)

def context():
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.load_cert_chain(cert, key)
    return made

class Made(Controller):
    def factory(self):
        if mode == "plain":
            return SMTP(self.handler)
        return SMTP(self.handler, tls_context=context() if mode == "starttls" else None, require_starttls=mode == "starttls",
            authenticator=login, auth_required=True, auth_require_tls=mode == "starttls")

made = Made(Keep(), hostname="127.0.0.1", port=int(sys.argv[4]), ssl_context=context() if mode == "smtps" else None)
made.start()
print("ready", flush=True)
sys.stdin.read()
made.stop()
