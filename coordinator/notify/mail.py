"""One notice, or a code to confirm an address, as an e-mail."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any
from urllib.parse import urlsplit

from coordinator.config import Settings, SmtpSettings
from jobs.errors import Refused, Unavailable

__all__ = ["code_mail", "notice_mail", "send"]

_SECONDS = 20.0
_TITLES = {"done": "is done", "failed": "has failed", "preview": "waits for your word on its preview", "test": "test"}


def notice_mail(settings: Settings, to: str, body: dict[str, Any]) -> EmailMessage:
    """What happened, the reason, the frame, what to do, and where to look."""
    lines = [f"{body['name']} ({body['job']}) {_TITLES[body['event']]}."]
    if body.get("error"):
        lines.append(f"Reason: {body['error']}")
    if body.get("frames"):
        lines.append(f"Frame: {', '.join(map(str, body['frames']))}")
    if body.get("advice"):
        lines.append(f"What to do: {body['advice']}.")
    lines.append(f"{settings.origin}/jobs/{body['job']}")
    return _mail(settings, to, f"{body['name']} {_TITLES[body['event']]}", "\n\n".join(lines), body["id"])


def code_mail(settings: Settings, to: str, target: str, code: str) -> EmailMessage:
    """The code that shows that whoever asks reads this address."""
    text = (
        f"Somebody wants notices of their jobs at {settings.origin} to come here. If that is you:\n\n"
        f"    kilnet notify confirm {target} {code}\n\nIf not, do nothing: nothing more is sent."
    )
    return _mail(settings, to, "Confirm this address", text, f"{target}.{code[:2]}")


def _mail(settings: Settings, to: str, subject: str, text: str, identity: str) -> EmailMessage:
    smtp = settings.notify.smtp
    if smtp is None:
        raise Refused("this gateway sends no e-mail; its operator sets notify.smtp", code="no_smtp")
    mail = EmailMessage()
    # A name may hold anything; a header is one line.
    mail["Subject"] = " ".join(subject.split())[:200]
    mail["From"], mail["To"], mail["Date"] = smtp.sender, to, formatdate()
    # The same notice is the same message: a mailbox shows it once.
    mail["Message-ID"] = f"<{identity}@{urlsplit(settings.origin).hostname}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(text)
    return mail


def send(smtp: SmtpSettings, mail: EmailMessage) -> None:
    """Hand a message to the mail server. Raises Unavailable (worth another try), Refused where it will not have it."""
    try:
        password = "" if smtp.password_file is None else smtp.password_file.read_text(encoding="utf-8").strip()
        context = ssl.create_default_context()
        server: smtplib.SMTP
        if smtp.security == "tls":
            server = smtplib.SMTP_SSL(smtp.host, smtp.port, timeout=_SECONDS, context=context)
        else:
            server = smtplib.SMTP(smtp.host, smtp.port, timeout=_SECONDS)
        with server:
            if smtp.security == "starttls":
                server.starttls(context=context)
            if smtp.username is not None:
                server.login(smtp.username, password)
            server.send_message(mail)
    except smtplib.SMTPRecipientsRefused as error:
        code, said = next(iter(error.recipients.values()))
        if code >= 500:
            raise Refused(
                f"the mail server refuses the address ({code} {said!r}); check it", code="bad_address"
            ) from error
        raise Unavailable(f"the mail server will not take it now ({code}); it is sent again") from error
    except (OSError, smtplib.SMTPException) as error:
        raise Unavailable(
            f"the mail server does not take it ({type(error).__name__}: {str(error)[:200]}); it is sent again"
        ) from error
