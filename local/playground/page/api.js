// What the page asks of its server. The secret of the printed address goes with every request, in a header.

const KEPT = "secret";

function secret() {
  if (location.hash.length > 20) {
    sessionStorage.setItem(KEPT, location.hash.slice(1));
    history.replaceState(null, "", location.pathname); // out of the address bar, and of screenshots
  }
  return sessionStorage.getItem(KEPT) ?? "";
}

const SECRET = secret();
addEventListener("hashchange", () => location.hash.length > 20 && location.reload());

async function ask(path, options = {}) {
  const headers = { "x-playground-secret": SECRET, ...(options.headers ?? {}) };
  let response;
  try {
    response = await fetch(`api/${path}`, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("the stack does not answer: is it still up?");
  }
  if (response.ok) return response;
  let message = `HTTP ${response.status}`;
  try {
    message = (await response.json()).error.message;
  } catch { /* no JSON: the status has to do */ }
  throw new Error(message);
}

const of = (name, what) => `endpoints/${encodeURIComponent(name)}/${what}`;
const post = (event, signal) => ({ method: "POST", headers: { "content-type": "application/json" }, body: event, signal });

export const stack = async () => (await ask("stack")).json();
export const edition = async () => (await ask("edition")).json();
export const cache = async () => (await ask("cache")).json();
export const openapi = async (name) => (await ask(of(name, "openapi.json"))).json();
export const logs = async (name) => (await (await ask(of(name, "logs"))).json()).lines;
export const retire = async (name) => (await (await ask(of(name, "retire"), { method: "POST" })).json()).retired;
export const invoke = async (name, event, signal) => (await ask(of(name, "invoke"), post(event, signal))).json();

/** The answer piece by piece; returns how it ended. Stopped by `signal`. */
export async function stream(name, event, signal, piece) {
  const response = await ask(of(name, "stream"), post(event, signal));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new Error("the answer broke off");
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines.filter(Boolean)) {
      const part = JSON.parse(line);
      if (part.error) throw new Error(part.error.message);
      if (part.end) return part.end;
      piece(part.piece);
    }
  }
}
