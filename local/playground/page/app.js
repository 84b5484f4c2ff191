// The page: a list of endpoints, one of them to try, and the cache.

import * as api from "./api.js";
import { history, phaseBar, remembered } from "./chart.js";
import { bytes, clear, make, number } from "./dom.js";
import { formOf } from "./form.js";
import { snippets } from "./snippets.js";
import { problemOf, prose, viewOf } from "./views.js";

const at = (id) => document.getElementById(id);
const costs = new Map(); // endpoint -> what its last requests took
let stack = null;
let running = null; // AbortController of the request that is under way
let shown = null; // the endpoint that is looked at
let edition = null; // of the scripts, where `make dev` follows their changes

function fail(error) {
  at("problem").textContent = error ? error.message : "";
  at("problem").hidden = !error;
}

async function start() {
  try {
    stack = await api.stack();
  } catch (error) {
    clear(at("endpoint"));
    return fail(error);
  }
  fail(null);
  at("stack").textContent = `stack ${stack.name}`;
  document.title = `hf-lambda: ${stack.name}`;
  const links = stack.endpoints.map((endpoint) => make("button", { type: "button", "data-endpoint": endpoint.name, onclick: () => show(endpoint) },
    make("strong", {}, endpoint.name), make("small", {}, endpoint.models[0]?.task ?? "")));
  clear(at("endpoints"), links);
  if (stack.edition !== null && edition === null) {
    edition = 0;
    follow();
  }
  const next = stack.endpoints.find((each) => each.name === sessionStorage.getItem("endpoint")) ?? stack.endpoints[0];
  if (!next) return clear(at("endpoint"), make("p", {}, "There is no endpoint: put a script into inference/."));
  // What was typed stays while the form is the same.
  if (JSON.stringify(next) !== JSON.stringify(shown)) show(next);
  else mark(next);
}

/** Asks once a second whether scripts have changed, and shows what is wrong with them. */
async function follow() {
  let pause = 1000;
  try {
    const now = await api.edition();
    if (now.number !== edition) {
      edition = now.number;
      await start();
      fail(now.problems.length ? new Error(now.problems.join("\n")) : null);
    }
  } catch (error) {
    fail(error);
    edition = 0;
    pause = 5000;
  }
  setTimeout(follow, pause);
}

function mark(endpoint) {
  for (const link of at("endpoints").children) link.setAttribute("aria-current", String(link.dataset.endpoint === endpoint.name));
}

// --- one endpoint ---

function show(endpoint) {
  running?.abort();
  shown = endpoint;
  sessionStorage.setItem("endpoint", endpoint.name);
  mark(endpoint);
  view("endpoint");
  const form = formOf(endpoint);
  const raw = make("textarea", { rows: 12, spellcheck: "false", "aria-label": "The event as JSON", "data-field": "json" });
  const tabs = tabbed("Event", [["Form", form.element], ["JSON", raw]], (name) => {
    try {
      if (name === "JSON") raw.value = JSON.stringify(form.read(), null, 2);
      else form.write(parsed(raw.value));
      problem(null);
    } catch (error) {
      problem(error);
      return false;
    }
    return true;
  });
  const read = () => (tabs.current() === "JSON" ? parsed(raw.value) : form.read());
  const note = make("p", { class: "problem", role: "alert", hidden: true });
  const problem = (error) => { note.textContent = error ? error.message : ""; note.hidden = !error; };
  const answer = make("div", { id: "answer", "aria-live": "polite" });
  const after = make("div", { id: "after" });
  const streamed = make("input", { type: "checkbox", id: "streamed", checked: endpoint.streams });
  const send = make("button", { type: "submit", class: "primary" }, "Send");
  const stop = make("button", { type: "button", hidden: true, onclick: () => running?.abort() }, "Stop");
  const cold = make("button", { type: "button", title: stack.keeps_instances, disabled: Boolean(stack.keeps_instances), onclick: () => retire(endpoint, status) }, "Cold start");
  const status = make("span", { class: "quiet", role: "status" });
  const ask = make("form", { novalidate: true, "aria-label": `Ask ${endpoint.name}` }, tabs.element, note,
    make("div", { class: "actions" }, send, stop,
      endpoint.streams ? make("label", { class: "inline", for: "streamed" }, streamed, "stream") : "", cold, status));
  ask.addEventListener("submit", async (submitted) => {
    submitted.preventDefault();
    let event;
    try {
      event = read();
      problem(null);
    } catch (error) {
      return problem(error);
    }
    const controller = new AbortController();
    running?.abort();
    running = controller;
    send.disabled = true;
    stop.hidden = false;
    status.textContent = "asking ...";
    try {
      await request(endpoint, event, endpoint.streams && streamed.checked, controller.signal, answer, after);
      status.textContent = "";
    } catch (error) {
      const wasStopped = error.name === "AbortError";
      status.textContent = wasStopped ? "stopped" : "";
      if (!wasStopped) clear(answer, make("p", { class: "problem", role: "alert" }, error.message));
    } finally {
      send.disabled = false;
      stop.hidden = true;
      if (running === controller) running = null;
    }
  });
  ask.addEventListener("keydown", (pressed) => {
    if (pressed.key === "Enter" && (pressed.ctrlKey || pressed.metaKey)) ask.requestSubmit();
  });
  clear(at("endpoint"),
    make("h2", {}, endpoint.name),
    endpoint.summary ? make("p", {}, endpoint.summary) : null,
    endpoint.models.map(modelOf),
    make("dl", { class: "facts" }, fact("image", endpoint.image), fact("memory", endpoint.memory_mb ? `${endpoint.memory_mb} MB` : null), fact("streams", endpoint.streams ? "yes" : null), fact("API", endpoint.speaks === "openai" ? "OpenAI's" : endpoint.speaks === "tei" ? "text-embeddings-inference's" : null)),
    ask, answer, after,
    details("Call it from elsewhere", () => calls(endpoint, read)),
    details("OpenAPI", async () => make("pre", { tabindex: 0 }, JSON.stringify(await api.openapi(endpoint.name), null, 2))),
    details("Logs", async () => make("pre", { tabindex: 0 }, (await api.logs(endpoint.name)).join("\n") || "nothing yet")));
}

function parsed(text) {
  try {
    const event = JSON.parse(text);
    if (event === null || typeof event !== "object" || Array.isArray(event)) throw new Error("expected an object");
    return event;
  } catch (error) {
    throw new Error(`the event is not a JSON object: ${error.message}`);
  }
}

const fact = (name, value) => (value ? make("div", {}, make("dt", {}, name), make("dd", {}, value)) : null);

function modelOf(model) {
  const agreement = Object.entries(model.agreement).map(([precision, measured]) => `${precision}: ${Object.entries(measured).map(([name, value]) => `${name.replaceAll("_", " ")} ${number(value)}`).join(", ")}`);
  return make("div", { class: "model" },
    model.link ? make("a", { href: model.link, target: "_blank", rel: "noopener noreferrer" }, model.repo_id) : make("strong", {}, model.repo_id),
    make("dl", { class: "facts" },
      fact("task", model.task), fact("commit", model.commit ? model.commit.slice(0, 12) : "not in the cache"),
      fact("engine", model.precision ? `${model.engine}, ${model.precision}` : model.engine), fact("size", model.bytes ? bytes(model.bytes) : null),
      fact("agreement with transformers", agreement.join("; "))),
    model.reason ? make("p", { class: "quiet" }, model.reason) : null);
}

async function request(endpoint, event, isStreamed, signal, answer, after) {
  clear(after);
  if (!isStreamed) {
    clear(answer, make("p", { class: "quiet" }, "..."));
    const answered = await api.invoke(endpoint.name, JSON.stringify(event), signal);
    return finished(endpoint, event, answered, answer, after);
  }
  const text = prose("");
  text.setAttribute("aria-live", "off"); // a screen reader reads it once, when it is whole
  clear(answer, text);
  const reader = streamReader(endpoint.speaks === "openai", (piece) => text.append(piece));
  const end = await api.stream(endpoint.name, JSON.stringify({ ...event, stream: true }), signal, reader.take);
  const whole = reader.finish();
  if (end.error) throw new Error(problemOf(end.error));
  return finished(endpoint, event, { ...end, ...whole }, answer, after);
}

/** Takes a streamed answer apart: JSON lines, or the server-sent events of OpenAI's API. `said` gets new text. */
function streamReader(isOpenai, said) {
  let all = "";
  let rest = "";
  const values = [];
  const line = (each) => {
    const data = isOpenai ? each.replace(/^data: ?/, "").trim() : each.trim();
    if (!data || data === "[DONE]" || (isOpenai && !each.startsWith("data:"))) return;
    try {
      const value = JSON.parse(data);
      values.push(value);
      const text = typeof value === "string" ? value : isOpenai ? (value.choices?.[0]?.delta?.content ?? value.choices?.[0]?.text ?? "") : value?.error || value?.statusCode ? "" : `${data}\n`;
      if (text) said(text);
    } catch { /* no JSON line: it is in the whole */ }
  };
  return {
    take(piece) {
      all += piece;
      const lines = (rest + piece).split("\n");
      rest = lines.pop();
      lines.forEach(line);
    },
    finish() {
      if (rest) line(rest);
      const last = values.at(-1);
      if (values.length === 1 && Number.isInteger(last?.statusCode)) return { status: last.statusCode, body: last.body };
      if (last?.error) return { status: 500, body: last };
      if (isOpenai) return { status: 200, body: values.map((each) => each.choices?.[0]?.delta?.content ?? each.choices?.[0]?.text ?? "").join("") };
      const isText = values.length > 0 && values.every((each) => typeof each === "string");
      return { status: 200, body: isText ? values.join("") : values.length ? values : all };
    },
  };
}

function finished(endpoint, event, answered, answer, after) {
  const isProblem = answered.status >= 400;
  const look = isProblem ? make("p", { class: "problem", role: "alert" }, `${answered.status}: ${problemOf(answered.body)}`) : viewOf(answered.body, event, endpoint.models[0]?.task);
  const json = make("pre", { tabindex: 0 }, JSON.stringify(answered.body, null, 2));
  clear(answer, make("h3", {}, "Answer"), look, look ? details("As JSON", () => json) : json);
  costs.set(endpoint.name, remembered(costs.get(endpoint.name) ?? [], answered.cost));
  clear(after, make("h3", {}, "What it took"), costOf(answered.cost), phaseBar(answered.cost), history(costs.get(endpoint.name)),
    details("Log of the request", () => make("pre", { tabindex: 0 }, answered.log.join("\n") || "nothing")));
}

function costOf(cost) {
  return make("dl", { class: "facts cost" },
    fact("start", cost.cold === null ? null : cost.cold ? "cold" : "warm"), fact("took", `${number(cost.total_ms)} ms`),
    fact("engine", cost.engine), fact("billed", cost.billed_ms === null ? null : `${number(cost.billed_ms)} ms of ${cost.memory_mb} MB`),
    fact("used", cost.peak_mb ? `${cost.peak_mb} MB` : null), fact("a million such requests", cost.million_usd === null ? null : `$${cost.million_usd.toFixed(2)}`));
}

async function retire(endpoint, status) {
  try {
    const count = await api.retire(endpoint.name);
    status.textContent = count ? "the next request is a cold start" : "no instance was idle";
  } catch (error) {
    status.textContent = error.message;
  }
}

function calls(endpoint, read) {
  let event;
  try {
    event = read();
  } catch (error) {
    return make("p", { class: "problem" }, error.message);
  }
  const whole = new Map(snippets(stack, endpoint, event));
  return make("div", {}, snippets(stack, endpoint, event, true).map(([name, text]) => {
    const copy = make("button", { type: "button", class: "small", "aria-label": `Copy the ${name} line`, onclick: async () => {
      await navigator.clipboard.writeText(whole.get(name));
      copy.textContent = "Copied";
    } }, "Copy");
    return make("div", { class: "snippet" }, make("h4", {}, name, " ", copy), make("pre", { tabindex: 0 }, text));
  }));
}

/** A part that is made anew whenever it is opened. */
function details(title, content) {
  const holder = make("div");
  const element = make("details", {}, make("summary", {}, title), holder);
  element.addEventListener("toggle", async () => {
    if (!element.open) return;
    try {
      clear(holder, await content());
    } catch (error) {
      clear(holder, make("p", { class: "problem" }, error.message));
    }
  });
  return element;
}

/** Tabs as screen readers know them. `changing` says whether the other one may be shown. */
function tabbed(label, pages, changing) {
  let current = pages[0][0];
  const buttons = pages.map(([name]) => make("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": `page-${name}`, onclick: () => choose(name) }, name));
  const panels = pages.map(([name, content]) => make("div", { role: "tabpanel", id: `page-${name}`, "aria-labelledby": `tab-${name}` }, content));
  const update = () => pages.forEach(([name], place) => {
    buttons[place].setAttribute("aria-selected", String(name === current));
    buttons[place].tabIndex = name === current ? 0 : -1;
    panels[place].hidden = name !== current;
  });
  const choose = (name) => {
    if (name !== current && changing(name)) current = name;
    update();
    buttons[pages.findIndex(([each]) => each === current)].focus();
  };
  const list = make("div", { role: "tablist", "aria-label": label }, buttons);
  list.addEventListener("keydown", ({ key }) => {
    if (key !== "ArrowLeft" && key !== "ArrowRight") return;
    const place = pages.findIndex(([name]) => name === current);
    choose(pages[(place + (key === "ArrowRight" ? 1 : pages.length - 1)) % pages.length][0]);
  });
  update();
  return { element: make("div", {}, list, panels), current: () => current };
}

// --- the cache ---

function view(name) {
  for (const each of ["endpoint", "cache"]) at(each).hidden = each !== name;
  at("show-endpoints").setAttribute("aria-pressed", String(name === "endpoint"));
  at("show-cache").setAttribute("aria-pressed", String(name === "cache"));
}

async function showCache() {
  view("cache");
  clear(at("cache"), make("p", { class: "quiet" }, "Loading ..."));
  try {
    const found = await api.cache();
    const rows = found.models.map((model) => make("tr", {},
      make("th", { scope: "row" }, model.model, make("small", {}, ` ${model.revision.slice(0, 12)}`)),
      make("td", {}, model.cold ? "-" : bytes(model.bytes)),
      make("td", {}, prepared(model)),
      make("td", {}, model.warmed_at ? new Date(model.warmed_at).toLocaleString() : "-")));
    const unused = found.unused.map((model) => make("tr", {}, make("th", { scope: "row" }, model.model, make("small", {}, ` ${model.revision.slice(0, 12)}`)), make("td", {}, bytes(model.bytes)), make("td", {}, "no script uses it: python -m warmup prune"), make("td", {}, "-")));
    clear(at("cache"), make("h2", {}, "Cache"),
      make("div", { class: "scroll" }, make("table", { class: "grid" },
        make("thead", {}, make("tr", {}, ["model", "size", "prepared", "warmed"].map((each) => make("th", { scope: "col" }, each)))),
        make("tbody", {}, rows, unused))),
      found.free_bytes === null ? null : make("p", { class: "quiet" }, `${bytes(found.free_bytes)} are free.`));
  } catch (error) {
    clear(at("cache"), make("p", { class: "problem", role: "alert" }, error.message));
  }
}

function prepared(model) {
  if (model.cold) return "not in the cache: run the warm-up";
  const lines = [
    ...model.prepared.map((each) => `${each.head}: ${each.precision}${each.bytes ? `, ${bytes(each.bytes)}` : ""}${each.reason ? ` (${each.reason})` : ""}`),
    ...model.not_prepared.map((each) => `${each.head}: torch (${each.reason})`),
    ...(model.refused ?? []).map((each) => `refused: ${each.reason}`),
  ];
  return lines.length ? lines.map((line) => make("div", {}, line)) : "no";
}

at("show-endpoints").addEventListener("click", () => view("endpoint"));
at("show-cache").addEventListener("click", showCache);
start();
