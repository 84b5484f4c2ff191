// What the last requests took, phase by phase.

import { draw, make, number } from "./dom.js";

export const PHASES = ["start", "import", "load", "infer", "other"];
const KEPT = 20;

/** Costs of the last requests, the newest last. */
export const remembered = (costs, cost) => [...costs, cost].slice(-KEPT);

/** One line: a bar of phases. */
export function phaseBar(cost) {
  const known = PHASES.filter((name) => cost.phases[name] > 0);
  if (!known.length) return "";
  const named = (name) => (name === "start" && cost.cold === false ? "on the way" : name);
  const bar = make("div", { class: "phases", "aria-hidden": "true" }, known.map((name) => make("span", { class: name, style: { "flex-grow": String(cost.phases[name]) }, title: `${named(name)} ${number(cost.phases[name])} ms` })));
  const words = make("p", { class: "phase-names" }, known.map((name) => make("span", { class: `name ${name}` }, `${named(name)} ${number(cost.phases[name])} ms`)));
  return make("div", {}, bar, words);
}

/** A column for each request, as high as the square root of its time: a cold start leaves warm ones visible. */
export function history(costs) {
  if (costs.length < 2) return "";
  const most = Math.max(...costs.map((each) => each.total_ms));
  const width = 12;
  const columns = costs.map((cost, place) => {
    const high = Math.max(2, 60 * Math.sqrt(cost.total_ms / most));
    const title = draw("title", {}, `${cost.cold ? "cold" : "warm"}: ${number(cost.total_ms)} ms`);
    return draw("rect", { class: cost.cold ? "cold" : "warm", x: place * width + 1, y: 62 - high, width: width - 3, height: high, rx: 1 }, title);
  });
  const words = `Last ${costs.length} requests: ${costs.map((each) => `${each.cold ? "cold" : "warm"} ${number(each.total_ms)} ms`).join(", ")}`;
  return make("figure", {}, draw("svg", { class: "history", viewBox: `0 0 ${KEPT * width} 62`, role: "img", "aria-label": words }, columns), make("figcaption", { class: "quiet" }, `The last ${costs.length} requests, up to ${number(most)} ms; square root scale`));
}
