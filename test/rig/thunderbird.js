// What the test asks Thunderbird to do, in Thunderbird's own terms. Loaded once
// into a sandbox with full rights; `tb` holds it from then on.
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const { setTimeout } = ChromeUtils.importESModule("resource://gre/modules/Timer.sys.mjs");

globalThis.tb = {
  get account() { return MailServices.accounts.accounts[0]; },
  get root() { return this.account.incomingServer.rootFolder; },
  get window() { return Services.wm.getMostRecentWindow("mail:3pane"); },
  get pane() { return this.window.document.getElementById("tabmail").currentAbout3Pane; },

  // What fails meanwhile is tried again: Thunderbird has no list of a folder's messages
  // while it writes one.
  async until(what, check) {
    for (const end = Date.now() + 30000; ;) {
      let failed = "";
      const value = await Promise.resolve().then(check).catch(e => { failed = `: ${e}`; });
      if (value) return value;
      if (Date.now() > end) throw new Error(`${what}: not within 30 s${failed}`);
      await new Promise(done => setTimeout(done, 20));
    }
  },

  // A listener for whatever Thunderbird calls back with at the end; `done`
  // fails unless the status is 0.
  listener() {
    let ended;
    const done = new Promise((resolve, reject) => {
      ended = status => status ? reject(new Error(`status 0x${status.toString(16)}`)) : resolve();
    });
    return {
      done,
      QueryInterface: ChromeUtils.generateQI(["nsIUrlListener", "nsIMsgCopyServiceListener", "nsIMsgSearchNotify", "nsIMsgSendListener"]),
      OnStartRunningUrl() {}, OnStopRunningUrl(url, status) { ended(status); },
      onStartCopy() {}, onProgress() {}, setMessageKey() {}, getMessageId() {}, onStopCopy(status) { ended(status); },
      onNewSearch() {}, onSearchHit() {}, onSearchDone(status) { ended(status); },
      onStartSending() {}, onStatus() {}, onGetDraftFolderURI() {}, onSendNotPerformed() {},
      onTransportSecurityError() {}, onStopSending(id, status) { if (status) ended(status); },
    };
  },

  // Trusts the local authority as the certificate manager does, and types the
  // password.
  login(pem, password) {
    Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB)
      .addCertFromBase64(pem.replace(/-----[^-]*-----|\s/g, ""), "C,,");
    this.account.incomingServer.password = password;
  },

  // Opens the account, and types the password where Thunderbird asks for it, as a
  // person does: more than once, where it connects twice at the same time. Ends when
  // INBOX has so many messages.
  async openAccount(password, count) {
    setTimeout(() => this.window.MsgGetMessagesForAccount(this.root));
    let asked = 0;
    await this.until("the account is open", () => {
      const question = this.question();
      if (question) asked += this.press(question, password);
      return asked && !question && "INBOX" in this.folders() && this.messages("INBOX").length == count;
    });
    await this.open("INBOX", count);
  },
  // The dialogue that asks for a password, or whether.
  question() {
    return [...Services.ww.getWindowEnumerator()].map(w => w.document)
      .find(d => d.getElementById("commonDialog")?._buttons && d.getElementById("password1Textbox"));
  },
  press(question, password) {
    if (password) question.getElementById("password1Textbox").value = password;
    question.getElementById("commonDialog").acceptDialog();
    return 1;
  },
  // Types the password into the dialogue that asks for it.
  answer(password) { return this.accept("the question for the password", password); },
  // Presses OK in a dialogue.
  async accept(what, password) {
    const question = await this.until(what, () => this.question());
    this.press(question, password);
    await this.until("the end of " + what, () => this.question() != question); // a script that begins while one is open fails
  },
  // The SMTP server of an identity.
  smtp(identity) {
    const s = MailServices.outgoingServer.getServerByKey(identity.smtpServerKey).QueryInterface(Ci.nsISmtpServer);
    return [s.hostname, s.port, s.socketType, s.username];
  },

  // From now on keeps what is wrong with certificates of which Thunderbird asks or
  // tells the person.
  watchCertificates() {
    this.distrusted = [];
    MailServices.mailSession.addUserFeedbackListener({
      QueryInterface: ChromeUtils.generateQI(["nsIMsgUserFeedbackListener"]),
      onAlert() { return false; },
      onCertError: info => { this.distrusted.push(info.errorCodeString); return true; },
    });
  },

  // Connects, and waits until Thunderbird does not believe the server.
  async distrusts() {
    this.account.incomingServer.performExpand(this.window.msgWindow);
    await this.until("a certificate that is not trusted", () => this.distrusted.length);
    return this.distrusted[0];
  },

  // As the button that gets messages does.
  getMessages() {
    this.account.incomingServer.getNewMessages(this.folder("INBOX"), this.window.msgWindow, null);
  },

  // Asks for the list of mailboxes; the answer is what Thunderbird shows, with
  // the role it gives each.
  async list(...names) {
    this.account.incomingServer.performExpand(this.window.msgWindow);
    await this.until(`${names} listed`, () => names.every(name => name in this.folders()));
    return this.folders();
  },
  folders() {
    const roles = ["Inbox", "Drafts", "SentMail", "Trash", "Junk", "Archive"];
    return Object.fromEntries(this.root.descendants.map(f => [
      this.path(f), roles.filter(r => f.getFlag(Ci.nsMsgFolderFlags[r])).join(" ")]));
  },
  path(folder) {
    return folder.parent.isServer ? folder.name : `${this.path(folder.parent)}/${folder.name}`;
  },
  folder(path) {
    const found = this.root.descendants.find(f => this.path(f) == path);
    if (!found) throw new Error(`no folder ${path} among ${Object.keys(this.folders())}`);
    return found;
  },

  // Clicks on a folder and waits until it shows so many messages.
  async open(path, count) {
    this.pane.displayFolder(this.folder(path));
    await this.counted(path, count);
  },
  counted(path, count) {
    return this.until(`${count} messages in ${path}`, () => this.messages(path).length == count);
  },
  messages(path) { return [...this.folder(path).msgDatabase.enumerateMessages()]; },
  message(path, id) {
    const found = this.messages(path).find(m => m.messageId == id);
    if (!found) throw new Error(`no ${id} in ${path}`);
    return found;
  },

  // Downloads a folder for reading offline, and returns what is then on disk. It
  // is asked again where it is still busy with the headers: it says that it is
  // done, then, and has asked the server for nothing; or has closed its list of
  // messages and not read it again.
  async download(path) {
    const folder = this.folder(path);
    return this.until(`${path} offline`, async () => {
      const listener = this.listener();
      folder.downloadAllForOffline(listener, this.window.msgWindow);
      await listener.done;
      const got = this.messages(path);
      return got.length && got.every(m => folder.hasMsgOffline(m.messageKey)) && got.map(m => {
        const stream = Cc["@mozilla.org/binaryinputstream;1"].createInstance(Ci.nsIBinaryInputStream);
        stream.setInputStream(folder.getMsgInputStream(m, {}));
        let raw = "";
        for (let n; (n = stream.available());) raw += stream.readBytes(n);
        stream.close();
        return btoa(raw);
      });
    });
  },

  // Opens a message in the window as a click in the list does, which marks it
  // read.
  async read(path, id) {
    const hdr = await this.until(`${id} listed`, () => {
      const found = this.message(path, id), index = this.pane.gDBView.findIndexOfMsgHdr(found, true);
      if (index >= 0) this.pane.threadTree.selectedIndex = index;
      return index >= 0 && found;
    });
    await this.until(`${id} read`, () => hdr.isRead);
    const browser = this.pane.messageBrowser.contentWindow.getMessagePaneBrowser();
    return this.until(`${id} shown`, () => browser.contentDocument?.readyState == "complete" && browser.contentDocument.body?.textContent.trim());
  },
  flag(path, id) { this.folder(path).markMessagesFlagged([this.message(path, id)], true); },
  tag(path, id, keyword) { this.folder(path).addKeywordsToMessages([this.message(path, id)], keyword); },

  async move(path, id, to) {
    const listener = this.listener();
    MailServices.copy.copyMessages(this.folder(path), [this.message(path, id)], this.folder(to), true, listener, this.window.msgWindow, true);
    await listener.done;
  },
  // As the Delete key: to the trash.
  async delete(path, id) {
    const listener = this.listener();
    this.folder(path).deleteMessages([this.message(path, id)], this.window.msgWindow, false, false, listener, true);
    await listener.done;
  },
  async emptyTrash() {
    this.folder("Trash").emptyTrash(null);
    await this.counted("Trash", 0);
  },

  async create(name) {
    this.root.createSubfolder(name, this.window.msgWindow);
    await this.until(`${name} created`, () => name in this.folders());
  },
  async rename(path, name) {
    this.folder(path).rename(name, this.window.msgWindow);
    await this.until(`${path} renamed`, () => name in this.folders() && !(path in this.folders()));
  },

  // As the Delete key on a folder: it becomes a subfolder of the trash.
  async deleteFolder(path) {
    this.folder(path).deleteSelf(this.window.msgWindow);
    await this.until(`${path} deleted`, () => !(path in this.folders()) && `Trash/${path}` in this.folders());
  },

  // Searches on the server, as the search dialogue does with "run search on
  // server"; the answer is the ids found.
  async search(path, attribute, text) {
    const session = Cc["@mozilla.org/messenger/searchSession;1"].createInstance(Ci.nsIMsgSearchSession);
    session.addScopeTerm(Ci.nsMsgSearchScope.onlineMail, this.folder(path));
    const term = session.createTerm(), value = term.value;
    term.attrib = value.attrib = Ci.nsMsgSearchAttrib[attribute];
    value.str = text;
    term.value = value;
    term.op = Ci.nsMsgSearchOp.Contains;
    session.appendTerm(term);
    const listener = this.listener(), found = [];
    listener.onSearchHit = hdr => found.push(hdr.messageId);
    session.registerListener(listener);
    session.search(this.window.msgWindow);
    await listener.done;
    return found;
  },

  // Writes a message and saves it as a draft.
  async draft(subject, body) {
    const fields = Cc["@mozilla.org/messengercompose/composefields;1"].createInstance(Ci.nsIMsgCompFields);
    const identity = this.account.defaultIdentity;
    Object.assign(fields, { from: identity.email, to: "bob@example.com", subject });
    const send = Cc["@mozilla.org/messengercompose/send;1"].createInstance(Ci.nsIMsgSend);
    const listener = this.listener();
    send.createAndSendMessage(null, identity, this.account.key, fields, false, false,
      Ci.nsIMsgCompDeliverMode.SaveAsDraft, null, "text/plain", body, null, null, listener, null, "", Ci.nsIMsgCompType.New);
    await listener.done;
  },

  // Opens a window to write a new message in, or the answer to one.
  async write(path, id) {
    if (id) await this.read(path, id);
    this.window.goDoCommand(id ? "cmd_replySender" : "cmd_newMessage");
    return this.until("the window to write in", () => {
      const w = Services.wm.getMostRecentWindow("msgcompose");
      return w?.gMsgCompose?.editor && w.gLoadingComplete !== false && !w.gWindowLocked && w;
    });
  },
  // Fills it in: what is left out stays as it is.
  fill(w, { to, bcc, subject, text, file }) {
    if (to) w.awAddRecipients(w.gMsgCompose.compFields, "addr_to", to);
    if (bcc) w.awAddRecipients(w.gMsgCompose.compFields, "addr_bcc", bcc);
    const field = w.document.getElementById("msgSubject");
    if (subject) {
      field.value = subject;
      field.dispatchEvent(new w.Event("input"));
    }
    w.GetCurrentEditor().insertText(text);
    if (!file) return undefined;
    const found = Cc["@mozilla.org/file/local;1"].createInstance(Ci.nsIFile);
    found.initWithPath(file);
    return w.AddAttachments([w.FileToAttachment(found)]);
  },
  async saveDraft(w) {
    w.goDoCommand("cmd_saveAsDraft");
    await this.until("the draft is saved", () => w.gMsgCompose.compFields.draftId && !w.gWindowLocked);
  },
  // Sends it as the button does; asked answers what Thunderbird asks then. The window
  // closes when the message was taken and its copy is in Sent.
  async send(w, asked) {
    setTimeout(() => w.goDoCommand("cmd_sendNow"));
    await asked;
    await this.until("the window closes", () => w.closed);
  },
};
