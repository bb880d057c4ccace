import { h } from "./dom.js";
import { t } from "./text.js";

/** @type {import("./main").Page} */
export default function log(el) {
  el.append(h("h1", {}, t("nav.log")));
}
