// Answers as people look at them.

import { clear, draw, make, number } from "./dom.js";
import { mediaType, shown } from "./form.js";

/** The answer's view, or null where JSON is the best one. `event`: what was asked. */
export function viewOf(body, event, task = "") {
  const asked = first(event, Array.isArray);
  if (!isVectors(body) && Array.isArray(body) && asked && asked.length === body.length && asked.every((each) => typeof each === "string")) {
    const views = body.map((each, place) => one(each, { ...only(event), text: asked[place] }, task));
    if (views.every(Boolean)) {
      return make("div", {}, views.map((view, place) => make("section", { class: "item" }, make("h4", {}, short(asked[place], 120)), view)));
    }
  }
  return one(body, event, task);
}

/** The message of an answer that is none. */
export function problemOf(body) {
  if (typeof body === "string") { try { return problemOf(JSON.parse(body)); } catch { return body; } }
  const error = body?.error ?? body;
  const text = typeof error === "string" ? error : (error?.message ?? body?.errorMessage ?? JSON.stringify(body));
  return error?.field ? `${error.field}: ${text}` : text;
}

function one(body, event, task) {
  if (typeof body === "string") return prose(body);
  if (isVectors(body)) return vectors(body, event);
  if (Array.isArray(body?.data) && body.data.every((each) => Array.isArray(each?.embedding))) return vectors(body.data.map((each) => each.embedding), event);
  if (Array.isArray(body?.choices)) return prose(body.choices.map((each) => each.message?.content ?? each.text ?? "").join("\n\n"));
  if (Array.isArray(body?.labels) && Array.isArray(body?.scores)) return bars(body.labels.map((label, place) => [label, body.scores[place]]));
  const list = Array.isArray(body) ? body : [body];
  const every = (...names) => list.length > 0 && list.every((each) => each && typeof each === "object" && names.every((name) => name in each));
  if (every("box") && picture(event)) return boxes(list, event);
  if (every("mask") && picture(event)) return masks(list, event);
  if (every("depth") && typeof list[0].depth === "string") return make("div", { class: "picture" }, make("img", { src: shown(list[0].depth), alt: "depth" }));
  if (every("answer", "start", "end") && typeof event.context === "string") return answers(list, event.context);
  if (every("start", "end") && (every("entity_group") || every("entity"))) return entities(list, event);
  if (every("token_str", "score")) return bars(list.map((each) => [each.sequence ?? each.token_str, each.score]));
  if (every("answer", "score")) return bars(list.map((each) => [each.answer, each.score]));
  if (every("label", "score")) return bars(list.map((each) => [each.label, each.score]));
  if (every("index", "score")) return bars(list.map((each) => [ranked(each, event), each.score]));
  const named = ["generated_text", "summary_text", "translation_text", "text", "answer"].find((name) => every(name));
  if (named) return prose(list.map((each) => said(each[named])).join("\n\n"));
  if (task === "token-classification" && list.length === 0) return make("p", { class: "quiet" }, "No entities.");
  return null;
}

const short = (text, most) => (text.length > most ? `${text.slice(0, most - 3)}...` : text);
const first = (event, test) => Object.values(event ?? {}).find(test);
const only = (event) => Object.fromEntries(Object.entries(event).filter(([, value]) => !Array.isArray(value)));
const said = (value) => (Array.isArray(value) ? String(value.at(-1)?.content ?? "") : String(value));

export function prose(text) {
  return make("p", { class: "prose" }, text);
}

function bars(pairs) {
  const most = Math.max(...pairs.map(([, score]) => Math.abs(score)), 1e-9);
  const whole = pairs.every(([, score]) => score >= 0 && score <= 1) ? 1 : most;
  const rows = pairs.slice(0, 100).map(([label, score]) => make("tr", {},
    make("th", { scope: "row" }, String(label)),
    make("td", { class: "bar" }, make("span", { style: { width: `${Math.max(0.5, (100 * Math.abs(score)) / whole)}%` } })),
    make("td", { class: "score" }, number(score))));
  return make("table", { class: "bars" }, make("caption", { class: "hidden" }, "Scores"), make("tbody", {}, rows));
}

function ranked(each, event) {
  const texts = first(event, (value) => Array.isArray(value) && value.every((text) => typeof text === "string"));
  return each.text ?? each.document?.text ?? each.document ?? texts?.[each.index] ?? `#${each.index}`;
}

function marked(text, spans) {
  const parts = [];
  let at = 0;
  // Lambda counts as Python does, by code points; JavaScript by UTF-16 units.
  const points = [...text];
  const slice = (from, to) => points.slice(from, to).join("");
  for (const { start, end, label, score } of [...spans].sort((one, another) => one.start - another.start)) {
    if (start < at || end <= start) continue; // overlaps: the JSON has it
    parts.push(slice(at, start), make("mark", { style: { "--hue": hue(label) } }, slice(start, end), make("small", {}, ` ${label}${score === undefined ? "" : ` ${number(score)}`}`)));
    at = end;
  }
  return make("p", { class: "prose" }, parts, slice(at));
}

function entities(list, event) {
  const text = event.text ?? first(event, (value) => typeof value === "string") ?? "";
  return marked(text, list.map((each) => ({ ...each, label: each.entity_group ?? each.entity })));
}

function answers(list, context) {
  const found = list.map((each) => ({ ...each, label: "answer" }));
  return make("div", {}, bars(list.map((each) => [each.answer || "(no answer)", each.score])), marked(context, found));
}

/** A colour of its own for each label, the same every time. */
function hue(label) {
  let sum = 0;
  for (const letter of String(label)) sum = (sum * 31 + letter.codePointAt(0)) % 360;
  return String((sum * 47) % 360);
}

function picture(event) {
  const isPicture = (value) => typeof value === "string" && (value.startsWith("data:image/") || (value.length > 40 && mediaType(value).startsWith("image/")));
  const found = first(event, (value) => isPicture(value) || (Array.isArray(value) && isPicture(value[0])));
  return found && shown(Array.isArray(found) ? found[0] : found);
}

function boxes(list, event) {
  const image = make("img", { src: picture(event), alt: "the picture that was sent" });
  const overlay = draw("svg", { class: "overlay", role: "img", "aria-label": list.map((each) => each.label).join(", ") });
  image.addEventListener("load", () => {
    overlay.setAttribute("viewBox", `0 0 ${image.naturalWidth} ${image.naturalHeight}`);
    const unit = Math.max(image.naturalWidth, image.naturalHeight) / 100;
    clear(overlay, list.map(({ box, label, score }) => {
      const colour = `hsl(${hue(label)} 90% 45%)`;
      return draw("g", {},
        draw("rect", { x: box.xmin, y: box.ymin, width: box.xmax - box.xmin, height: box.ymax - box.ymin, fill: "none", stroke: colour, "stroke-width": unit * 0.6 }),
        draw("text", { x: box.xmin + unit, y: Math.max(box.ymin + unit * 5, unit * 5), fill: "#fff", "font-size": unit * 4.5, "font-weight": "bold" }, `${label} ${number(score)}`));
    }));
  });
  return make("div", {}, make("div", { class: "picture" }, image, overlay), bars(list.map((each) => [each.label, each.score])));
}

function masks(list, event) {
  const image = make("img", { src: picture(event), alt: "the picture that was sent" });
  const holder = make("div", { class: "picture" }, image);
  for (const { label, mask } of list) {
    if (typeof mask !== "string") continue;
    const canvas = make("canvas", { class: "overlay", "aria-hidden": "true" });
    const source = make("img", { src: shown(mask) });
    source.addEventListener("load", () => tint(canvas, source, Number(hue(label))));
    holder.append(canvas);
  }
  const names = list.map((each) => make("li", { style: { "--hue": hue(each.label) } }, `${each.label ?? "mask"}${typeof each.score === "number" ? ` ${number(each.score)}` : ""}`));
  return make("div", {}, holder, make("ul", { class: "legend" }, names));
}

function tint(canvas, mask, degrees) {
  canvas.width = mask.naturalWidth;
  canvas.height = mask.naturalHeight;
  const context = canvas.getContext("2d");
  context.drawImage(mask, 0, 0);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
  const sector = (offset) => 127 + 127 * Math.cos(((degrees + offset) * Math.PI) / 180);
  const [red, green, blue] = [sector(0), sector(-120), sector(120)];
  for (let at = 0; at < pixels.data.length; at += 4) {
    pixels.data[at + 3] = pixels.data[at] * 0.55;
    pixels.data[at] = red;
    pixels.data[at + 1] = green;
    pixels.data[at + 2] = blue;
  }
  context.putImageData(pixels, 0, 0);
}

const isVector = (value) => Array.isArray(value) && value.length > 3 && value.every((each) => typeof each === "number");
const isVectors = (body) => isVector(body) || (Array.isArray(body) && body.length > 0 && body.every(isVector));

function vectors(body, event) {
  const all = isVector(body) ? [body] : body;
  const texts = first(event, (value) => Array.isArray(value) && value.length === all.length) ?? [first(event, (value) => typeof value === "string") ?? ""];
  const length = (vector) => Math.hypot(...vector);
  const about = make("p", { class: "quiet" }, `${all.length === 1 ? "A vector" : `${all.length} vectors`} of ${all[0].length} numbers, length ${number(length(all[0]))}.`);
  if (all.length === 1 || all.length > 40) return make("div", {}, about, make("code", { class: "numbers" }, all[0].slice(0, 12).map(number).join("  "), all[0].length > 12 ? " ..." : ""));
  const cosine = (one, another) => one.reduce((sum, each, place) => sum + each * another[place], 0) / (length(one) * length(another) || 1);
  const head = make("tr", {}, make("th", {}, "cosine"), all.map((_, place) => make("th", { scope: "col", title: String(texts[place] ?? "") }, `${place + 1}`)));
  const rows = all.map((one, row) => make("tr", {}, make("th", { scope: "row" }, `${row + 1}  ${short(String(texts[row] ?? ""), 48)}`),
    all.map((another) => {
      const value = cosine(one, another);
      return make("td", { style: { "--share": `${Math.round(Math.max(0, value) * 70)}%` } }, value.toFixed(2));
    })));
  return make("div", {}, about, make("div", { class: "scroll" }, make("table", { class: "similarity" }, make("thead", {}, head), make("tbody", {}, rows))));
}
