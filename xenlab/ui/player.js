/**
 * Add controls to a moving picture and play it: `draw(moment)` paints one moment of the trace.
 *
 * Keys while the controls or the picture have the focus: space plays and pauses, arrows step, Home and End jump.
 * A reader who asked the system for less motion gets the same moments without transitions (see theme.css).
 */
function player(model, el, draw) {
  const last = () => model.get("captions").length - 1;
  let timer = null;

  const caption = h("p", { class: "xl-caption", role: "status" });
  const count = h("span", { class: "count" });
  const scrub = h("input", {
    type: "range", min: 0, max: last(), "aria-label": "Moment",
    oninput: () => { stop(); go(Number(scrub.value)); },
  });
  const play = h("button", { class: "play main", onclick: () => (timer ? stop() : start()) });
  const step = (name, label, target) =>
    h("button", { title: label, "aria-label": label, onclick: () => { stop(); go(target()); } }, icon(name));
  const controls = h("div", { class: "xl-controls" },
    step("first", "First moment", () => 0),
    step("back", "One moment back", () => model.get("moment") - 1),
    play,
    step("forward", "One moment on", () => model.get("moment") + 1),
    step("last", "Last moment", last),
    scrub, count);

  function go(moment) {
    model.set("moment", Math.min(Math.max(moment, 0), last()));
    model.save_changes();
  }
  function start() {
    if (model.get("moment") >= last()) go(0);
    timer = setInterval(() => {
      go(model.get("moment") + 1);
      if (model.get("moment") >= last()) stop();
    }, model.get("period"));
    label();
  }
  function stop() {
    clearInterval(timer);
    timer = null;
    label();
  }
  function label() {
    play.replaceChildren(icon(timer ? "pause" : "play"), timer ? "Pause" : "Play");
  }
  function show() {
    const moment = model.get("moment");
    draw(moment);
    scrub.max = last(); // a trace may grow
    scrub.value = moment;
    count.textContent = `${moment + 1} of ${last() + 1}`;
    caption.innerHTML = model.get("captions")[moment];
  }
  el.addEventListener("keydown", (event) => {
    if (event.target !== scrub && event.target.matches("input, select, textarea")) return; // it has its own keys
    const moment = model.get("moment");
    const target = { ArrowLeft: moment - 1, ArrowRight: moment + 1, Home: 0, End: last() }[event.key];
    if (target !== undefined && event.target !== scrub) { stop(); go(target); }
    else if (event.key === " " && event.target.tagName !== "BUTTON") { if (timer) stop(); else start(); }
    else return;
    event.preventDefault();
    event.stopPropagation(); // or JupyterLab would move to another cell
  });

  el.append(caption, controls);
  label();
  const unfollow = follow(model, ["moment", "captions"], show);
  return () => { stop(); unfollow(); };
}
