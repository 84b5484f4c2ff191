// A form made from the JSON Schema of an endpoint's events.

import { bytes, clear, make } from "./dom.js";

/** A form of `endpoint`, with its example filled in. */
export function formOf(endpoint) {
  const properties = endpoint.fields.properties ?? {};
  const required = new Set(endpoint.fields.required ?? []);
  const example = endpoint.example ?? {};
  const controls = Object.entries(properties)
    .filter(([name]) => name !== "stream")
    .map(([name, schema]) => [name, control(name, schema, required.has(name)), schema]);
  let extra = {};
  const form = {
    element: make("div", { class: "fields" }, controls.map(([, each]) => each.element)),
    /** The event that the form says. Throws an Error that names the field. */
    read() {
      const event = { ...extra };
      for (const [name, each, schema] of controls) {
        const value = each.read();
        const isDefault = JSON.stringify(value) === JSON.stringify(schema.default);
        if (value === undefined || (isDefault && !(name in example))) continue;
        event[name] = value;
      }
      return event;
    },
    write(event) {
      const known = new Set(controls.map(([name]) => name));
      extra = Object.fromEntries(Object.entries(event).filter(([name]) => !known.has(name)));
      for (const [name, each, schema] of controls) each.write(name in event ? event[name] : schema.default);
    },
  };
  form.write(example);
  return form;
}

/** The kinds that a schema allows, as one list. */
export const variants = (schema) => (schema.anyOf ? schema.anyOf.flatMap(variants) : [schema]);

const isFile = (schema) => schema.contentEncoding === "base64";
const isText = (schema) => schema.type === "string" && !isFile(schema);
const isList = (test) => (schema) => schema.type === "array" && variants(schema.items ?? {}).some(test);
const isMessage = (schema) => Boolean(schema.properties?.role && schema.properties?.content);

function control(name, schema, isRequired) {
  const kinds = variants(schema).filter((each) => each.type !== "null");
  const has = (test) => kinds.some(test);
  const choices = kinds.find((each) => each.enum);
  const file = kinds.find(isFile) ?? kinds.find(isList(isFile))?.items;
  if (choices && kinds.length === 1) return choice(name, choices.enum, isRequired);
  if (file) return files(name, variants(file).find(isFile).contentMediaType, isRequired);
  if (has(isList(isMessage))) return messages(name, isRequired);
  if (has(isText)) return text(name, isRequired, has(isList(isText)));
  if (has(isList(isText))) return lines(name, isRequired);
  if (kinds.length === 1 && kinds[0].type === "boolean") return checkbox(name);
  if (kinds.length && kinds.every((each) => ["integer", "number"].includes(each.type))) {
    return numeric(name, kinds.every((each) => each.type === "integer"), isRequired);
  }
  return json(name, isRequired);
}

let count = 0;

function labelled(name, kind, isRequired, input, ...more) {
  input.id = `field-${++count}`;
  input.dataset.field = name;
  if (isRequired) input.setAttribute("aria-required", "true");
  const label = make("label", { for: input.id }, name, make("small", {}, isRequired ? kind : `${kind}, optional`));
  return make("div", { class: "field" }, label, input, ...more);
}

function area(rows) {
  return make("textarea", { rows, spellcheck: "false" });
}

function needed(name, value, isRequired) {
  if (value === "" && isRequired) throw new Error(`${name}: is needed`);
  return value === "" ? undefined : value;
}

function text(name, isRequired, many) {
  const input = area(3);
  const each = make("input", { type: "checkbox", id: `field-${++count}` });
  const as = many ? make("label", { class: "inline", for: each.id }, each, "several, one a line") : "";
  return {
    element: labelled(name, many ? "text or list" : "text", isRequired, input, as),
    read: () => (each.checked ? split(input.value) : needed(name, input.value, isRequired)),
    write(value) {
      each.checked = Array.isArray(value);
      input.value = Array.isArray(value) ? value.join("\n") : (value ?? "");
      input.rows = Math.min(8, Math.max(3, Math.ceil(input.value.length / 60), input.value.split("\n").length));
    },
  };
}

const split = (value) => value.split("\n").map((line) => line.trim()).filter(Boolean);

function lines(name, isRequired) {
  const input = area(3);
  return {
    element: labelled(name, "list, one a line", isRequired, input),
    read: () => (input.value.trim() || isRequired ? split(needed(name, input.value.trim(), isRequired)) : undefined),
    write: (value) => { input.value = (Array.isArray(value) ? value : value ? [value] : []).join("\n"); },
  };
}

function numeric(name, isWhole, isRequired) {
  const input = make("input", { type: "number", step: isWhole ? "1" : "any", inputmode: isWhole ? "numeric" : "decimal" });
  return {
    element: labelled(name, isWhole ? "whole number" : "number", isRequired, input),
    read() {
      if (input.validity.badInput) throw new Error(`${name}: expected a number`);
      return needed(name, input.value, isRequired) === undefined ? undefined : Number(input.value);
    },
    write: (value) => { input.value = value ?? ""; },
  };
}

function checkbox(name) {
  const input = make("input", { type: "checkbox" });
  const element = labelled(name, "yes or no", true, input);
  input.removeAttribute("aria-required");
  element.classList.add("check");
  return { element, read: () => input.checked, write: (value) => { input.checked = Boolean(value); } };
}

function choice(name, values, isRequired) {
  const input = make("select", {}, isRequired ? [] : make("option", { value: "" }, ""), values.map((each, place) => make("option", { value: place }, String(each))));
  return {
    element: labelled(name, "choice", isRequired, input),
    read: () => (input.value === "" ? undefined : values[Number(input.value)]),
    write(value) { const place = values.indexOf(value); input.value = place < 0 ? (isRequired ? "0" : "") : String(place); },
  };
}

function messages(name, isRequired) {
  const input = area(3);
  let before = [];
  return {
    element: labelled(name, "what the user says", isRequired, input),
    read() {
      const content = needed(name, input.value, isRequired);
      return content === undefined ? undefined : [...before, { role: "user", content }];
    },
    write(value) {
      const all = Array.isArray(value) ? value : [];
      const isLast = all.at(-1)?.role === "user" && typeof all.at(-1)?.content === "string";
      before = isLast ? all.slice(0, -1) : all;
      input.value = isLast ? all.at(-1).content : "";
    },
  };
}

function json(name, isRequired) {
  const input = area(3);
  return {
    element: labelled(name, "JSON", isRequired, input),
    read() {
      const given = needed(name, input.value.trim(), isRequired);
      if (given === undefined) return undefined;
      try { return JSON.parse(given); } catch (error) { throw new Error(`${name}: not JSON: ${error.message}`); }
    },
    write: (value) => { input.value = value === undefined || value === null ? "" : JSON.stringify(value, null, 1); },
  };
}

// --- files ---

/** The media type of base64 text, by how such files begin. */
export function mediaType(base64) {
  const known = { iVBOR: "image/png", "/9j/": "image/jpeg", R0lG: "image/gif", Qk0: "image/bmp", T2dn: "audio/ogg", SUQz: "audio/mpeg", ZkxhQ: "audio/flac" };
  const found = Object.keys(known).find((each) => base64.startsWith(each));
  if (found) return known[found];
  if (base64.startsWith("UklGR")) return atob(base64.slice(0, 16)).endsWith("WEBP") ? "image/webp" : "audio/wav";
  return "application/octet-stream";
}

/** An address that the browser shows, of a file as an event has it. */
export const shown = (given) => (given.startsWith("data:") ? given : `data:${mediaType(given)};base64,${given}`);

function files(name, accept, isRequired) {
  let held; // base64 text, or a list of it
  const input = make("input", { type: "file", accept: accept === "application/octet-stream" ? null : accept });
  const preview = make("div", { class: "preview", "aria-live": "polite" });
  const show = () => clear(preview, (Array.isArray(held) ? held : held ? [held] : []).map(preview_of));
  const take = async (blob) => {
    held = await base64(blob);
    show();
  };
  input.addEventListener("change", () => input.files[0] && take(input.files[0]));
  const canRecord = accept.startsWith("audio") && navigator.mediaDevices?.getUserMedia && window.MediaRecorder;
  const element = labelled(name, accept.startsWith("image") ? "picture" : accept.startsWith("audio") ? "sound" : "file", isRequired, input, canRecord ? recorder(take) : "", preview);
  element.addEventListener("dragover", (event) => event.preventDefault());
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
  });
  return {
    element,
    read() {
      if (!held && isRequired) throw new Error(`${name}: choose a file`);
      return held || undefined;
    },
    write(value) { held = value ?? undefined; show(); },
  };
}

function preview_of(given) {
  if (typeof given !== "string") return "";
  const address = shown(given);
  if (address.startsWith("data:image/")) return make("img", { src: address, alt: "the chosen picture" });
  if (address.startsWith("data:audio/")) return make("audio", { src: address, controls: true });
  return make("span", { class: "quiet" }, bytes(Math.floor(given.length * 0.75)));
}

function base64(blob) {
  return new Promise((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => failed(reader.error);
    reader.readAsDataURL(blob);
  });
}

/** A button that records from the microphone, and gives a WAV: endpoints do not read what browsers record. */
function recorder(take) {
  let running = null;
  const button = make("button", { type: "button", class: "small" }, "Record");
  button.addEventListener("click", async () => {
    if (running) return running.stop();
    try {
      const source = await navigator.mediaDevices.getUserMedia({ audio: true });
      const parts = [];
      running = new MediaRecorder(source);
      running.addEventListener("dataavailable", (event) => parts.push(event.data));
      running.addEventListener("stop", async () => {
        running = null;
        button.textContent = "Record";
        source.getTracks().forEach((track) => track.stop());
        await take(await wav(new Blob(parts)));
      });
      running.start();
      button.textContent = "Stop recording";
    } catch (error) {
      running = null;
      button.textContent = `No microphone: ${error.message}`;
    }
  });
  return button;
}

const RATE = 16000;

async function wav(recorded) {
  const decoded = await new AudioContext({ sampleRate: RATE }).decodeAudioData(await recorded.arrayBuffer());
  const samples = decoded.getChannelData(0);
  const view = new DataView(new ArrayBuffer(44 + samples.length * 2));
  const ascii = (at, letters) => [...letters].forEach((each, place) => view.setUint8(at + place, each.charCodeAt(0)));
  ascii(0, "RIFF"); view.setUint32(4, 36 + samples.length * 2, true); ascii(8, "WAVEfmt ");
  view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
  view.setUint32(24, RATE, true); view.setUint32(28, RATE * 2, true); view.setUint16(32, 2, true); view.setUint16(34, 16, true);
  ascii(36, "data"); view.setUint32(40, samples.length * 2, true);
  samples.forEach((each, place) => view.setInt16(44 + place * 2, Math.max(-1, Math.min(1, each)) * 32767, true));
  return new Blob([view], { type: "audio/wav" });
}
