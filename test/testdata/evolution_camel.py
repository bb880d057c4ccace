"""What Evolution does with an IMAP account, through the library it does it
with: Camel, and Camel's provider IMAPX. Arguments: a folder for its data, HOST
PORT USER PASSWORD, "yes" for QRESYNC, and words that one message has. Prints `waiting` when it sits
in IDLE and goes on when a message has arrived."""

import os
import sys

os.environ.update(GIO_USE_NETWORK_MONITOR="base", GSETTINGS_BACKEND="memory")
import gi

gi.require_version("Camel", "1.2")
from gi.repository import Camel, Gio, GLib  # noqa: E402

data, host, port, user, password, resync, words = sys.argv[1:]


class Session(Camel.Session):
    """Evolution's session: it knows the password and is asked about
    certificates."""

    def do_authenticate_sync(self, service, mechanism, cancellable):
        service.set_password(password)
        result = service.authenticate_sync(mechanism, cancellable)
        if result != Camel.AuthenticationResult.ACCEPTED:
            raise GLib.Error("refused", "camel", 0)
        return True

    def do_trust_prompt(self, service, certificate, errors):
        print("asked to trust", certificate.get_property("issuer-name"), flush=True)
        return Camel.CertTrust.TEMPORARY


def until(what, check):
    """Runs the main loop until something is so, for at most 30 seconds."""
    context = GLib.MainContext.default()
    late = []
    GLib.timeout_add(30000, lambda: late.append(1))
    GLib.timeout_add(50, lambda: True)  # wakes the loop up
    while not check():
        assert not late, what
        context.iteration(True)


Camel.init(data, True)
Camel.provider_init()
session = Session(user_data_dir=data + "/data", user_cache_dir=data + "/cache", online=True)
store = session.add_service("popbridge", "imapx", Camel.ProviderType.STORE)
settings = store.ref_settings()
settings.set_host(host)
settings.set_port(int(port))
settings.set_user(user)
settings.set_auth_mechanism("PLAIN")
settings.set_security_method(Camel.NetworkSecurityMethod.STARTTLS_ON_STANDARD_PORT)
settings.set_property("use-idle", True)
settings.set_property("use-subscriptions", True)
settings.set_property("filter-inbox", False)
settings.set_property("use-qresync", resync == "yes")
session.set_online(True)
assert store.set_online_sync(True, None)
assert store.connect_sync(None)
print("connected", flush=True)


# The list of folders; each must then be there by its name.
assert store.get_folder_info_sync(None, Camel.StoreGetFolderInfoFlags.RECURSIVE | Camel.StoreGetFolderInfoFlags.SUBSCRIBED, None)
for name in ("Archive", "Drafts", "Junk", "Sent", "Trash"):
    assert store.get_folder_sync(name, 0, None), name
inbox = store.get_folder_sync("INBOX", 0, None)
inbox.refresh_info_sync(None)
# Not get_uids(), whose strings are freed too early in Python.
uids = [str(n + 1) for n in range(inbox.get_message_count())]
print("messages", len(uids), flush=True)

# Searched on the server as long as nothing is downloaded. What is found is freed too
# early as well: with QRESYNC the UIDs are sent later.
if resync == "no":
    found = inbox.search_by_expression(f'(match-all (body-contains "{words}"))', None)
    print("found", *found, ".", flush=True)
for uid in uids:
    assert inbox.get_message_sync(uid, None).get_message_id(), uid
print("downloaded", flush=True)

# A message arrives while this sits in IDLE.
print("waiting", flush=True)
until("the new message", lambda: inbox.get_message_count() == len(uids) + 1)
print("arrived", inbox.get_message_info(str(len(uids) + 1)).get_subject(), flush=True)

flags = Camel.MessageFlags
archive, drafts = store.get_folder_sync("Archive", 0, None), store.get_folder_sync("Drafts", 0, None)
inbox.set_message_flags(uids[0], flags.SEEN, flags.SEEN)
inbox.set_message_flags(uids[1], flags.FLAGGED, flags.FLAGGED)
inbox.set_message_user_flag(uids[2], "$Labelimportant", True)
inbox.set_message_flags(uids[3], flags.ANSWERED, flags.ANSWERED)
inbox.synchronize_sync(False, None)
inbox.transfer_messages_to_sync(uids[4:6], archive, True, None)
inbox.set_message_flags(uids[6], flags.DELETED | flags.SEEN, flags.DELETED | flags.SEEN)
inbox.synchronize_sync(True, None)
print("changed", flush=True)

message = Camel.MimeMessage()
message.set_subject("a draft")
message.set_message_id("draft@evolution.example")
text = b"not yet\r\n"
message.set_content(text, "text/plain")
info = Camel.MessageInfo.new(None)
info.set_flags(flags.DRAFT | flags.SEEN, flags.DRAFT | flags.SEEN)
drafts.append_message_sync(message, info, None)
store.create_folder_sync(None, "S\u00fcd", None)
store.rename_folder_sync("S\u00fcd", "S\u00fcden", None)
print("folders", flush=True)
store.disconnect_sync(True, None)
print("done", flush=True)
os._exit(0)  # Camel's threads are not waited for
