// Where the mail is, whether it is whole, and its backup.
import { h, replace } from "./dom.js";
import { t, number, size, when, ago } from "./text.js";
import { ask, work } from "./api.js";
import { action, copied, failed, icon } from "./parts.js";
import { belongs, condition, since } from "./health.js";

/** @typedef {import("./types").Problem} Problem */

/** @typedef {import("./types").Progress} Progress */

/** Work that was begun here, until what came of it was shown: it goes on while another page is looked at. @type {Map<string, {last: Progress | null, tell: (p: Progress) => void, end: Promise<any[]>}>} */
const begun = new Map();

/** @param {string} path */
function begin(path) {
  const one = { last: /** @type {Progress | null} */ (null), tell: (/** @type {Progress} */ _) => {}, end: /** @type {Promise<any[]>} */ (Promise.resolve([])) };
  one.end = work(path, {}, p => one.tell(one.last = p));
  begun.set(path, one);
  return one;
}

/**
 * A button for work over all mail, with its progress and what came of it.
 * @param {string} text @param {string} path
 * @param {(result: any[]) => import("./dom.js").Child} done
 * @param {HTMLElement} out where that is shown
 * @param {{primary?: boolean}} [o]
 */
function job(text, path, done, out, o) {
  const bar = h("progress", { "aria-label": text, hidden: true }), live = h("p", { class: "live dim" });
  const start = action(text, async () => {
    replace(out);
    bar.removeAttribute("value");
    bar.hidden = false;
    const one = begun.get(path) ?? begin(path);
    one.tell = p => {
      if (p.total > 0) bar.max = p.total;
      if (p.total > 0) bar.value = p.messages;
      replace(live, t("storage.live", { phase: t("storage.phase." + p.phase), user: /** @type {any} */ (p).user ?? "", done: p.messages, n: p.total }));
    };
    if (one.last) one.tell(one.last);
    try {
      replace(out, done(await one.end));
    } finally {
      if (start.isConnected) begun.delete(path); // else it is shown when a person comes back
      bar.hidden = true;
      replace(live);
    }
  }, o);
  if (begun.has(path)) setTimeout(() => start.querySelector("button")?.click());
  return { start, el: h("div", {}, bar, live) };
}

const result = () => h("div", { role: "status" });

/** @param {Problem[]} list */
const problems = list => h("ul", {}, list.map(p => h("li", {}, p.user, ": ", h("span", { lang: "en" }, p.text))));

/** @type {import("./main").Page} */
export default async function storage(el, _, s) {
  /** @type {[import("./types").Storage, import("./types").User[]]} */
  const [place, users] = await Promise.all([ask("GET", "/storage"), ask("GET", "/users")]);
  const wrong = h("ul", { class: "conditions" }), free = h("dd", {});
  const room = (/** @type {import("./types").Storage} */ p) => replace(free, p.free < 0 ? t("storage.free.unknown") : size(p.free));
  room(place);
  el.append(h("h1", {}, t("nav.storage")), wrong,
    h("section", {}, h("dl", { class: "facts" },
      h("dt", {}, t("storage.place")), h("dd", {}, h("code", {}, place.data_dir)),
      h("dt", {}, t("storage.messages")), h("dd", {}, number(users.reduce((n, u) => n + u.messages, 0))),
      h("dt", {}, t("storage.size")), h("dd", {}, size(users.reduce((n, u) => n + u.size, 0))),
      h("dt", {}, t("storage.free")), free),
    users.length > 0 && h("table", { class: "stack" }, h("caption", { class: "visually-hidden" }, t("storage.users")),
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("storage.user")), h("th", { scope: "col" }, t("storage.accounts")), h("th", { scope: "col", class: "n" }, t("storage.messages")), h("th", { scope: "col", class: "n" }, t("storage.size")))),
      h("tbody", {}, users.map(u => h("tr", {}, h("td", { "data-label": t("storage.user") }, u.name), h("td", { "data-label": t("storage.accounts") }, u.accounts.join(", ") || "\u2013"),
        u.error ? h("td", { colspan: 2, class: "error", lang: "en" }, u.error, u.hint && h("p", { class: "dim" }, u.hint)) : [
          h("td", { class: "n", "data-label": t("storage.messages") }, number(u.messages)), h("td", { class: "n", "data-label": t("storage.size") }, size(u.size))]))))),
    check(s), backup(place, s.now), restore(place));
  let told = "[]";
  /** @param {import("./main").State | null} s */
  function update(s) {
    if (!s) return;
    const list = s.status.health.filter(c => belongs(c, "storage"));
    if (told !== (told = JSON.stringify(list))) {
      replace(wrong, list.map(c => condition(c, s.now, true)));
      ask("GET", "/storage").then(room, () => {}); // what is shown is of before
    }
    wrong.querySelectorAll(".since").forEach((p, i) => { p.textContent = since(list[i], s.now); });
  }
  update(s);
  return update;
}

/** @param {import("./main").State} s */
function check(s) {
  const out = result();
  const look = job(t("storage.check"), "/check", (/** @type {Problem[]} */ found) => (mend.start.hidden = found.length === 0)
    ? h("p", {}, icon("ok"), " ", t("storage.check.ok"))
    : h("div", { class: "failed" }, icon("error"), h("div", {}, h("p", {}, t("storage.check.found", { n: found.length })), problems(found), h("p", {}, t("storage.check.then")))), out);
  const mend = job(t("storage.repair"), "/repair", (/** @type {import("./types").Repaired[]} */ done) => {
    const quiet = done.every(r => !r.rebuilt && r.mended.length + r.left.length + r.recovered === 0);
    if (quiet) return h("p", {}, icon("ok"), " ", t("storage.repair.none"));
    return done.map(r => h("div", { class: "box" }, h("h3", {}, r.user),
      r.rebuilt && h("p", {}, icon("ok"), " ", t("storage.repair.rebuilt")),
      r.mended.length > 0 && [h("p", {}, icon("ok"), " ", t("storage.repair.mended", { n: r.mended.length })), problems(r.mended)],
      r.recovered > 0 && h("p", {}, t("storage.repair.recovered", { n: r.recovered })),
      r.left.length > 0 && [h("p", {}, icon("warning"), " ", t("storage.repair.left", { n: r.left.length })), problems(r.left), h("p", { class: "dim" }, t("storage.repair.then"))],
      r.aside && h("p", {}, t("storage.repair.aside"), " ", h("code", {}, r.aside))));
  }, out);
  mend.start.hidden = !s.status.health.some(c => c.code === "store-corrupt" || c.code === "messages-damaged"); // nothing is known to be broken
  return h("section", {}, h("h2", {}, t("storage.whole")), h("p", {}, t("storage.whole.text")),
    h("div", { class: "buttons" }, look.start, mend.start), look.el, mend.el, out);
}

/** @param {import("./types").Backup[]} users */
const copy = users => users.map(b => [h("p", {}, icon(b.missing.length > 0 ? "warning" : "ok"), " ", b.user, ": ", t("storage.backup.copied", { n: b.messages, files: b.new_files, size: size(b.bytes) })),
  b.missing.length > 0 && [h("p", {}, t("storage.backup.missing", { n: b.missing.length })), problems(b.missing)]]);

/** @param {import("./types").Storage} place @param {Date} now */
function backup(place, now) {
  const last = h("div", {});
  /** @param {import("./types").Storage} place @param {Date} now */
  function show({ last_backup: b, same_disk }, now) {
    replace(last, b && [h("dl", { class: "facts" }, h("dt", {}, t("storage.backup.dir")), h("dd", {}, h("code", {}, b.dir)),
      h("dt", {}, t("storage.backup.at")), h("dd", { title: when(b.at, now) }, ago(b.at, now))),
    same_disk && h("p", {}, icon("warning"), " ", t("storage.backup.beside")),
    b.failed_at ? h("div", { class: "failed" }, icon("error"), h("div", {}, h("p", {}, t("storage.backup.failed", { at: when(b.failed_at, now) }), " ", h("span", { lang: "en" }, b.error)), b.hint && h("p", { class: "dim", lang: "en" }, b.hint))) : copy(b.users)]);
  }
  show(place, now);
  const out = result();
  const again = job(t("storage.backup.again"), "/backup-again", () => {
    ask("GET", "/storage").then(place => show(place, new Date()), e => { replace(last, failed(e)); });
    return h("p", {}, icon("ok"), " ", t("storage.backup.done"));
  }, out, { primary: true });
  return h("section", {}, h("h2", {}, t("storage.backup")), h("p", {}, t("storage.backup.text")), last,
    place.last_backup ? h("div", { class: "buttons" }, again.start) : h("p", {}, icon("warning"), " ", t("storage.backup.none")),
    again.el, out,
    h("details", { open: !place.last_backup }, h("summary", {}, t(place.last_backup ? "storage.backup.other" : "storage.backup.first")),
      h("p", {}, t("storage.backup.command")), h("dl", { class: "values" }, copied(t("storage.command"), place.backup_command))));
}

/** @param {import("./types").Storage} place */
const restore = place => h("section", {}, h("h2", {}, t("storage.restore")), h("p", {}, t("storage.restore.text")),
  h("details", {}, h("summary", {}, t("storage.restore.how")),
    h("ol", { class: "steps" }, ["1", "2", "3"].map(n => h("li", {}, t("storage.restore." + n)))),
    h("dl", { class: "values" }, copied(t("storage.command"), place.restore_command))));
