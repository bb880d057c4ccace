// Signs in, keeps up with the agent, and shows the page that the address names:
// #/NAME/ARGUMENT.
import { h, replace } from "./dom.js";
import * as api from "./api.js";
import { t, language, languages, choose, when } from "./text.js";
import { icon, failed, say } from "./parts.js";
import home, { verdict } from "./home.js";

/**
 * A page shows itself in an element; what it returns is called with each new state, and
 * at the end with none.
 * @typedef {(el: HTMLElement, args: string[], now: State) => void | ((s: State | null) => void) | Promise<void | ((s: State | null) => void)>} Page
 */
/** @typedef {{status: import("./types").Status, now: Date}} State */

/** Those that are not looked at first are loaded when they are. @type {Record<string, {title: string, load: () => Promise<{default: Page}>, menu?: boolean}>} */
const pages = {
  "": { title: "nav.home", load: async () => ({ default: home }), menu: true },
  add: { title: "nav.add", load: () => import("./add.js") },
  account: { title: "nav.account", load: () => import("./account.js") },
  devices: { title: "nav.devices", load: () => import("./devices.js"), menu: true },
  deleted: { title: "nav.deleted", load: () => import("./deleted.js"), menu: true },
  storage: { title: "nav.storage", load: () => import("./storage.js"), menu: true },
  log: { title: "nav.log", load: () => import("./log.js"), menu: true },
  settings: { title: "nav.settings", load: () => import("./settings.js"), menu: true },
  about: { title: "nav.about", load: () => import("./about.js"), menu: true },
};

const $ = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));
/** @type {State | null} */
let state = null;
/** @type {((s: State | null) => void) | null} */
let update = null;

/** The state as it was told last. */
export const current = () => state;

function header() {
  const theme = localStorage.getItem("popbridge-theme") ?? "system";
  const options = (/** @type {Record<string, string>} */ list, /** @type {string} */ at) =>
    Object.entries(list).map(([value, text]) => h("option", { value, selected: value === at }, text));
  replace($("header"),
    h("a", { href: "#/", class: "brand" }, icon("logo"), "popbridge"),
    h("nav", { "aria-label": t("nav.label") }, h("ul", {}, Object.entries(pages).filter(([, p]) => p.menu).map(([name, p]) =>
      h("li", {}, h("a", { href: "#/" + name, "data-page": name }, t(p.title)))))),
    h("div", { class: "choices" },
      h("label", {}, h("span", { class: "visually-hidden" }, t("nav.language")),
        h("select", { change: (/** @type {Event} */ e) => choose(/** @type {HTMLSelectElement} */ (e.target).value) }, options(languages, language))),
      h("label", {}, h("span", { class: "visually-hidden" }, t("nav.theme")),
        h("select", { change: (/** @type {Event} */ e) => setTheme(/** @type {HTMLSelectElement} */ (e.target).value) },
          options({ system: t("theme.system"), light: t("theme.light"), dark: t("theme.dark") }, theme)))));
  $("skip").textContent = t("nav.skip");
}

/** @param {string} theme */
function setTheme(theme) {
  localStorage.setItem("popbridge-theme", theme);
  document.documentElement.dataset.theme = theme;
}

/** Shows the page of the address. Focus goes to its heading, as after a new page. @param {boolean} [moved] */
async function show(moved) {
  const [name, ...args] = location.hash.replace(/^#\/?/, "").split("/").map(part => {
    try { return decodeURIComponent(part); } catch { return part; }
  });
  const page = pages[name] ?? pages[""];
  leave();
  for (const a of document.querySelectorAll("nav a")) a.toggleAttribute("aria-current", a.getAttribute("data-page") === name);
  for (const a of document.querySelectorAll("nav a[aria-current]")) a.setAttribute("aria-current", "page");
  const el = h("div", { class: "page" });
  replace($("main"), el);
  if (!state) {
    el.append(h("h1", { tabindex: -1 }, t("loading")));
    return;
  }
  try {
    const next = await (await page.load().catch(api.away)).default(el, args, state);
    if (!el.isConnected) return next?.(null); // another page was asked for meanwhile
    update = next ?? null;
  } catch (e) {
    el.append(failed(e));
    if (!el.isConnected) return;
  }
  title();
  const heading = el.querySelector("h1");
  heading?.setAttribute("tabindex", "-1");
  if (moved) heading?.focus();
}

/** Ends the page that is shown. */
function leave() {
  const end = update;
  update = null;
  end?.(null);
}

/** Takes what the agent tells. What goes wrong in a page is its own trouble, shown there once. @param {import("./types").Event} event */
async function take(event) {
  const first = state === null;
  if (event.status) state = { status: event.status, now: new Date(event.now) };
  else if (state) state = { ...state, now: new Date(event.now) };
  try {
    if (first) {
      await show();
    } else if (state) update?.(state);
    title();
  } catch (e) {
    if (update) $("main").firstElementChild?.append(failed(e));
    update = null;
  }
}

const moved = () => show(true);

/** The title of the tab says how it is, and where one is. */
function title() {
  const heading = document.querySelector("main h1")?.textContent ?? "";
  const v = state ? verdict(state) : null;
  document.title = (v && v.severity !== "ok" ? "\u25cf " : "") + [heading, "popbridge"].filter(Boolean).join(" \u2013 ");
}

/** Follows the agent as long as the page is looked at; tries again when it is away. */
async function follow() {
  let wait = 500;
  let since = /** @type {Date | null} */ (null);
  for (;;) {
    if (document.hidden) await new Promise(done => document.addEventListener("visibilitychange", done, { once: true }));
    const stop = new AbortController();
    let said = /** @type {api.Fault | null} */ (null);
    const hidden = () => document.hidden && stop.abort();
    document.addEventListener("visibilitychange", hidden);
    try {
      for await (const event of api.events(stop.signal)) {
        if (since) {
          since = null;
          say(t("back"));
        }
        $("lost").hidden = true;
        wait = 500;
        await take(event);
      }
    } catch (e) {
      if (api.isSignedOut(e)) return signedOut(/** @type {api.Fault} */ (e));
      said = e instanceof api.Fault ? e : null;
    } finally {
      document.removeEventListener("visibilitychange", hidden);
    }
    if (document.hidden || stop.signal.aborted) continue;
    since ??= new Date();
    $("lost").hidden = false;
    replace($("lost"), said ? h("span", { lang: "en" }, [said.message, said.hint].filter(Boolean).join(" \u2013 ")) : t("lost", { at: when(since.toISOString(), new Date()) }));
    await new Promise(done => setTimeout(done, wait));
    wait = Math.min(wait * 1.5, 5000);
  }
}

/** @param {api.Fault} [e] */
function signedOut(e) {
  removeEventListener("hashchange", moved);
  leave();
  replace($("main"), h("div", { class: "page narrow" },
    h("h1", {}, t("signin.title")),
    e && e.status === 403 ? failed(e) : null,
    h("p", {}, t("signin.menu")),
    h("p", {}, t("signin.command"), " ", h("code", {}, "popbridge open"))));
  $("lost").hidden = true;
  document.title = t("signin.title") + " \u2013 popbridge";
}

async function start() {
  document.documentElement.lang = language;
  document.documentElement.dataset.theme = localStorage.getItem("popbridge-theme") ?? "system";
  await api.ready();
  header();
  $("skip").addEventListener("click", e => {
    e.preventDefault(); // the part behind # names a page
    $("main").focus();
  });
  const ticket = /^#t=(\w+)$/.exec(location.hash);
  if (ticket) {
    history.replaceState(null, "", location.pathname + "#/");
    try {
      await api.signIn(ticket[1]);
    } catch (e) {
      if (!api.known()) return signedOut(/** @type {api.Fault} */ (e));
    }
  }
  if (!api.known()) return signedOut();
  addEventListener("hashchange", moved);
  show();
  await follow();
}

addEventListener("hashchange", () => {
  if (/^#t=/.test(location.hash)) location.reload(); // `popbridge open` while a page is open
});
start();
