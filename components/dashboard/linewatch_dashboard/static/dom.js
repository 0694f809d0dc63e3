// Small helpers. Strings from messages reach the page by textContent only.

export const byId = (id) => document.getElementById(id);

/** Set an element's text, and touch the page only when it changes. */
export function setText(element, text) {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}

/** A new element with a class and a text. */
export function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

/** A sign of the page's sprite. */
export function makeSign(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("class", "sign");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#sign-${name}`);
  svg.append(use);
  return svg;
}

/** Make `list`'s children fit `items` by key, keeping elements that stay: a picture in one is not loaded twice. */
export function reconcile(list, items, keyOf, create, update) {
  const present = new Map([...list.children].map((child) => [child.dataset.key, child]));
  items.forEach((item, index) => {
    const key = keyOf(item);
    let child = present.get(key);
    if (child) {
      present.delete(key);
    } else {
      child = create(item);
      child.dataset.key = key;
    }
    update(child, item);
    if (list.children[index] !== child) {
      list.insertBefore(child, list.children[index] ?? null);
    }
  });
  for (const child of present.values()) {
    child.remove();
  }
}
