// What this program is, where its files are, and which browsers are signed in.
import { h, replace } from "./dom.js";
import { t, when, ago } from "./text.js";
import { ask, session, signOut } from "./api.js";
import { action, confirm, copied, failed } from "./parts.js";

/** @typedef {import("./types").WebSession} WebSession */

/** What the agent calls a browser, "Chrome on Linux", in the language of the page. @param {string} browser */
function named(browser) {
  const [name, system] = browser.split(" on ");
  return system ? t("about.on", { name, system }) : browser;
}

/** @type {import("./main").Page} */
export default async function about(el, _, s) {
  const list = h("div", {});
  const [a, own] = await Promise.all([ask("GET", "/about"), session()]);
  let now = s.now;

  /** Shows who is signed in. @param {boolean} [moved] */
  async function sessions(moved) {
    /** @type {WebSession[]} */
    const all = await ask("GET", "/web/sessions");
    const table = h("table", { class: "stack", tabindex: -1, "aria-label": t("about.sessions") },
      h("thead", {}, h("tr", {}, ["browser", "begun", "used", "ends"].map(k => h("th", { scope: "col" }, t("about." + k))), h("td", {}))),
      h("tbody", {}, all.sort((x, y) => Number(y.id === own) - Number(x.id === own) || y.used.localeCompare(x.used)).map(one => h("tr", {},
        h("td", {}, h("strong", {}, named(one.browser)), one.id === own && h("span", { class: "dim" }, " ", t("about.this"))),
        h("td", { "data-label": t("about.begun") }, when(one.begun, now)),
        h("td", { "data-label": t("about.used") }, one.open > 0 ? t("about.open", { n: one.open }) : ago(one.used, now)),
        h("td", { "data-label": t("about.ends") }, when(one.ends, now)),
        h("td", {}, one.id !== own && action(t("about.out"), async () => {
          await ask("DELETE", "/web/sessions", { id: one.id });
          await sessions(true);
        }, { label: t("about.out.label", { browser: named(one.browser), begun: when(one.begun, now) }) }))))));
    replace(list, table);
    if (moved) table.focus();
  }

  el.append(h("h1", {}, t("nav.about")),
    h("dl", { class: "facts" }, [["popbridge", a.version], a.commit === "unknown" ? null : [t("about.commit"), a.commit + (a.date ? ", " + when(a.date, now) : "")], ["Go", a.go], ["SQLite", a.sqlite], [t("about.system"), a.system]]
      .map(row => row && [h("dt", {}, row[0]), h("dd", {}, row[1])])),
    h("section", { "aria-labelledby": "signed" }, h("h2", { id: "signed" }, t("about.sessions")), h("p", {}, t("about.sessions.help")), list,
      h("div", { class: "buttons" },
        action(t("about.out.this"), async () => { await signOut(); location.reload(); }),
        action(t("about.out.all"), async () => {
          if (!await confirm(t("about.out.all"), h("p", {}, t("about.out.all.help")), { yes: t("about.out.all.yes"), danger: true })) return;
          await ask("DELETE", "/web/sessions", {});
          location.reload();
        }, { danger: true }))),
    h("section", { "aria-labelledby": "where" }, h("h2", { id: "where" }, t("about.where")),
      h("dl", { class: "values" }, copied(t("about.config"), a.config), copied(t("about.data"), a.data_dir),
        a.log ? copied(t("about.log"), a.log) : [h("dt", {}, t("about.log")), h("dd", {}, h("span", {}, t("about.log.none"), " ", h("code", {}, "popbridge logs")))])),
    h("section", { "aria-labelledby": "docs" }, h("h2", { id: "docs" }, t("about.docs")), h("p", {}, t("about.docs.help")),
      h("ul", {}, ["web", "configuration", "troubleshooting", "backups", "SECURITY"].map(page => h("li", {}, h("code", {}, a.docs.replace("/tree/", "/blob/") + "/" + page + ".md"))))),
    h("section", { "aria-labelledby": "licences" }, h("h2", { id: "licences" }, t("about.licences")), h("p", {}, t("about.licences.own")), h("p", {}, t("about.licences.help")),
      h("details", {}, h("summary", {}, t("about.modules", { n: a.modules.length })),
        h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": t("about.modules", { n: a.modules.length }) }, h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("about.module")), h("th", { scope: "col" }, t("about.version")))),
          h("tbody", {}, a.modules.map((/** @type {import("./types").Module} */ m) => h("tr", {}, h("td", {}, h("code", {}, m.path)), h("td", {}, m.version)))))))));
  await sessions().catch(e => list.append(failed(e)));
  return s => { if (s) now = s.now; };
}
