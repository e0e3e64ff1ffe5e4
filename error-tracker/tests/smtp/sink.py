"""A real SMTP server for tests. What happens is told on stdout, one JSON object per line:

{"event": "ready", "port": 40123, "ca": "/tmp/…/ca.pem"}
{"event": "session"}                                                 a client connected
{"event": "auth", "tls": true, "username": "u", "password": "p"}     a login was tried
{"event": "message", "from": …, "to": […], "tls": …, "username": …, "helo": …,
 "data": "headers and body as they came", "subject": …, "text": …, "html": …}   the last three decoded

It ends when its stdin is closed, so a test that dies leaves no server behind.
"""

import argparse
import asyncio
import email
import email.policy
import json
import logging
import ssl
import sys
import tempfile
import warnings
from pathlib import Path

import trustme
from aiosmtpd.smtp import SMTP, AuthResult


def tell(event, **details):
    print(json.dumps({"event": event, **details}), flush=True)


class Handler:
    """Answers the commands of one session."""

    def __init__(self, options, number):
        self.options = options
        self.fails = number <= options.fail_sessions

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        session.host_name = hostname
        return responses

    async def handle_MAIL(self, server, session, envelope, address, options):
        if self.fails:
            return "451 4.3.0 try again later"
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address in self.options.refuse:
            return "550 5.1.1 no such user"
        if address in self.options.delay:
            return "450 4.2.1 mailbox busy"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        auth_data = session.auth_data
        mail = email.message_from_bytes(envelope.original_content, policy=email.policy.default)
        tell(
            "message",
            **{"from": envelope.mail_from, "to": envelope.rcpt_tos},
            tls=is_encrypted(server),
            username=auth_data.login.decode() if auth_data else None,
            helo=session.host_name,
            data=envelope.original_content.decode("utf-8", "replace"),
            subject=mail["subject"],
            text=part(mail, "plain"),
            html=part(mail, "html"),
        )
        return "250 OK"


class Server(SMTP):
    """Lets a test refuse STARTTLS although it was offered."""

    async def smtp_STARTTLS(self, arg):
        if self.event_handler.options.refuse_starttls:
            await self.push("454 4.7.0 TLS not available")
        else:
            await super().smtp_STARTTLS(arg)


def part(mail, kind):
    body = mail.get_body((kind,))
    return body.get_content().replace("\r\n", "\n") if body else None


def is_encrypted(server):
    return server.transport.get_extra_info("ssl_object") is not None


def authenticator(options):
    expected = tuple(part.encode() for part in options.auth.split(":", 1))

    def check(server, session, envelope, mechanism, auth_data):
        given = (auth_data.login, auth_data.password)
        tell("auth", tls=is_encrypted(server), username=given[0].decode(), password=given[1].decode())
        return AuthResult(success=given == expected, handled=False, auth_data=auth_data)

    return check


def session_factory(options, context):
    count = 0

    def new_session():
        nonlocal count
        count += 1
        tell("session")
        return Server(
            Handler(options, count),
            hostname="sink.test",
            tls_context=context if options.mode == "starttls" else None,
            authenticator=authenticator(options) if options.auth else None,
            auth_required=bool(options.auth),
            # aiosmtpd does not see that a session is encrypted from its first byte.
            auth_require_tls=not options.auth_without_tls and options.mode != "smtps",
        )

    return new_session


class Silence(asyncio.Protocol):
    """Accepts connections and says nothing."""

    def connection_made(self, transport):
        tell("session")


def certificate(names):
    """A server certificate for `names`, and the path of the CA that signed it."""
    ca = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*names).configure_cert(context)
    path = Path(tempfile.mkdtemp(prefix="monlight-smtp-")) / "ca.pem"
    ca.cert_pem.write_to_path(path)
    return context, path


async def closed_stdin():
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)


async def serve(options):
    context, ca = certificate(options.name or ["localhost", "127.0.0.1"])
    loop = asyncio.get_running_loop()
    # A client that ends a session early is what some tests are about.
    loop.set_exception_handler(lambda loop, context: None)
    factory = Silence if options.hang else session_factory(options, context)
    over_tls = context if options.mode == "smtps" else None
    server = await loop.create_server(factory, "127.0.0.1", options.port, ssl=over_tls)
    tell("ready", port=server.sockets[0].getsockname()[1], ca=str(ca))
    await closed_stdin()
    ca.unlink()
    ca.parent.rmdir()


def main():
    # aiosmtpd warns of what some tests ask for.
    warnings.simplefilter("ignore")
    logging.disable()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mode", choices=["plain", "starttls", "smtps"], default="plain")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--name", action="append", help="a name in the certificate (localhost and 127.0.0.1)")
    parser.add_argument("--auth", metavar="USER:PASSWORD", help="require this login")
    parser.add_argument("--auth-without-tls", action="store_true", help="offer the login in clear text too")
    parser.add_argument("--refuse-starttls", action="store_true", help="offer STARTTLS, then refuse it")
    parser.add_argument("--fail-sessions", type=int, default=0, metavar="N", help="451 in the first N sessions")
    parser.add_argument("--refuse", action="append", default=[], metavar="ADDRESS", help="550 for this recipient")
    parser.add_argument("--delay", action="append", default=[], metavar="ADDRESS", help="450 for this recipient")
    parser.add_argument("--hang", action="store_true", help="accept connections and say nothing")
    asyncio.run(serve(parser.parse_args()))


main()
