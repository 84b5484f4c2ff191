// Elements without a library. Text is always set as text: what endpoints answer is never read as HTML.

/** An element: `make("button", {type: "button", onclick: ...}, "Send")`; children are nodes or text. */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  set(element, attributes);
  element.append(...children.flat().filter((each) => each !== null && each !== undefined));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** As `make`, of a drawing. */
export function draw(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  set(element, attributes);
  element.append(...children.flat());
  return element;
}

function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [property, each] of Object.entries(value)) element.style.setProperty(property, each);
    else element.setAttribute(name, value === true ? "" : value);
  }
}

/** A number as people read it: three digits that count. */
export function number(value) {
  if (!Number.isFinite(value)) return "-";
  if (value !== 0 && Math.abs(value) < 0.001) return value.toExponential(1);
  return value.toLocaleString("en", Math.abs(value) >= 1000 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 3 });
}

export function bytes(count) {
  if (count === null || count === undefined) return "-";
  const unit = ["B", "kB", "MB", "GB", "TB"].findIndex((_, power) => count < 1000 ** (power + 1));
  const power = unit < 0 ? 4 : unit;
  return `${number(count / 1000 ** power)} ${["B", "kB", "MB", "GB", "TB"][power]}`;
}

export const clear = (element, ...children) => element.replaceChildren(...children.flat().filter(Boolean));
