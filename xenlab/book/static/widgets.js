// Brings a page's widgets to life without a kernel: their models are on the page, their modules in `book.modules`.
{
  /** A widget's traits as its module sees them (the interface of anywidget's `model`); nobody else hears of a change. */
  class Model {
    #traits; #listeners = new Map();

    constructor(traits, buffers) {
      this.#traits = structuredClone(traits);
      for (const { path, data } of buffers) { // bytes, kept apart from the rest
        const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
        let place = this.#traits;
        for (const step of path.slice(0, -1)) place = place[step];
        place[path.at(-1)] = new DataView(bytes.buffer);
      }
    }
    get(name) { return this.#traits[name]; }
    set(name, value) {
      if (this.#traits[name] === value) return;
      this.#traits[name] = value;
      for (const event of [`change:${name}`, "change"])
        for (const listener of [...(this.#listeners.get(event) ?? [])]) listener();
    }
    save_changes() {}
    send(content) { console.error("there is no kernel that could answer", content); }
    on(events, listener) {
      for (const event of events.split(" ")) this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), listener]);
    }
    off(events, listener) {
      for (const event of events.split(" "))
        this.#listeners.set(event, (this.#listeners.get(event) ?? []).filter((each) => each !== listener));
    }
  }

  const stored = JSON.parse(document.querySelector("#models").textContent);
  for (const place of document.querySelectorAll(".widget")) {
    const { model: name, needsKernel } = place.dataset;
    if (needsKernel === ":scope") continue; // its picture stays
    const { module, traits, buffers } = stored[name];
    const el = document.createElement("div");
    place.querySelector(".still").replaceWith(el);
    book.modules[module].render({ model: new Model(traits, buffers), el });
    if (needsKernel) for (const control of el.querySelectorAll(needsKernel)) control.disabled = true;
  }
}
