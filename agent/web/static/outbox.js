// Mail that has not been sent yet: why, until when, and what a person can do about it.
import { h, replace } from "./dom.js";
import { t, number, when, size } from "./text.js";
import { ask, Fault } from "./api.js";
import { action, confirm, failed, icon } from "./parts.js";
import { current } from "./main.js";

/** @typedef {import("./types").OutboxMessage} Message */

const looks = /** @type {Record<string, string>} */ ({ waiting: "info", sending: "busy", unknown: "error", held: "paused", refused: "error" });

/** What may be asked of a message in each state. @type {Record<string, string[]>} */
const choices = { waiting: ["retry", "hold", "drop"], sending: [], unknown: ["sent", "retry", "drop"], held: ["retry", "drop"], refused: ["retry", "drop"] };

/** @type {import("./main").Page} */
export default function outbox(el) {
  const list = h("ul", { class: "cards" }), none = h("p", { role: "status" }), all = h("p", { class: "buttons" }), wrong = h("div", {});
  let told = "";
  el.append(h("h1", {}, t("nav.outbox")), h("p", {}, t("outbox.about")), none, all, wrong, list);

  /** What a person wants of messages of a user; what has left meanwhile is no trouble. @param {string} user @param {Message[]} of @param {string} what */
  async function decide(user, of, what) {
    /** @type {import("./types").Decided[]} */
    const done = await ask("POST", "/outbox", { user, ids: of.map(m => m.id), do: what });
    const wrong = done.find(d => d.error && !(of.length > 1 && ["not found", "conflict"].includes(d.kind ?? "")));
    if (wrong) throw new Fault({ kind: wrong.kind, text: wrong.error, hint: wrong.hint }, 422);
  }

  async function load() {
    /** @type {Message[]} */
    const now = await ask("GET", "/outbox").catch(e => {
      const said = failed(e);
      if (said.textContent !== wrong.textContent) replace(wrong, said); // else it would be read aloud again
    });
    if (!now || !el.isConnected) return;
    replace(wrong);
    if (told === (told = JSON.stringify(now))) return; // what has the focus stays
    replace(none, now.length === 0 ? t("outbox.none") : t("outbox.some", { n: now.length }));
    const waiting = now.filter(m => m.state === "waiting");
    replace(all, waiting.length > 1 ? action(t("outbox.all"), async () => {
      for (const user of new Set(waiting.map(m => m.user))) await decide(user, waiting.filter(m => m.user === user), "retry");
      await load();
    }) : null);
    replace(list, now.map(card));
  }

  /** @param {Message} m */
  function card(m) {
    const open = m.recipients.filter(r => r.state !== "sent");
    return h("li", { class: "card" },
      h("h2", {}, m.subject || t("outbox.nosubject")),
      h("p", { class: "state" }, icon(looks[m.state] ?? "info"), " ", t("outbox.state." + m.state)),
      m.error ? h("details", {}, h("summary", {}, t("outbox.why")), m.of_account ? h("p", {}, t("outbox.account", { account: m.account })) : null, h("p", { lang: "en" }, m.error)) : null,
      h("dl", { class: "facts" },
        h("dt", {}, t("outbox.to")), h("dd", {}, open.map(r => [h("span", {}, r.address), r.state === "refused" ? [" ", h("span", { class: "error", lang: "en" }, r.reply)] : null, h("br")])),
        h("dt", {}, t("outbox.from")), h("dd", {}, m.from),
        h("dt", {}, t("outbox.since")), h("dd", {}, when(m.queued, new Date())),
        m.next ? [h("dt", {}, t("outbox.next")), h("dd", {}, when(m.next, new Date()))] : null,
        m.attempts ? [h("dt", {}, t("outbox.attempts")), h("dd", {}, number(m.attempts))] : null,
        h("dt", {}, t("outbox.size")), h("dd", {}, size(m.size))),
      h("p", { class: "buttons" }, (choices[m.state] ?? []).map(what => action(t("outbox.do." + what), async () => {
        if (m.state === "unknown" && what !== "drop" && !await confirm(t("outbox.sure." + what), h("p", {}, t("outbox.sure.text." + what)), { yes: t("outbox.do." + what) })) return;
        await decide(m.user, [m], what);
        await load();
      }, { label: t("outbox.label." + what, { subject: m.subject || t("outbox.nosubject") }) }))));
  }

  // The state does not tell of it. Who comes back to the page gets a state at once.
  const again = () => document.hidden || current()?.away || load();
  load();
  const timer = setInterval(again, 2000);
  return now => now ? again() : clearInterval(timer);
}
