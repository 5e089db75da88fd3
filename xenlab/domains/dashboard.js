const POLL = 3000; // milliseconds between two looks at a host that is in view
const BUTTONS = [
  ["pause", "Pause", "xl pause"],
  ["unpause", "Unpause", "xl unpause"],
  ["save", "Save", "xl save"],
  ["reboot", "Reboot", "xl reboot"],
  ["shutdown", "Shut down", "xl shutdown"],
  ["destroy", "Destroy", "xl destroy"],
];
const WORKLOADS = ["counter", "idle", "burn", "ping", "disk", "dirty:16"];

function render({ model, el }) {
  let waiting = ""; // the button whose answer is on its way
  let inView = true;

  function press(button, fields = {}) {
    if (waiting && waiting !== "refresh") return; // a look at the host never makes a press go unheard
    waiting = button;
    model.send({ button, ...fields });
    showStatus();
    showDomain();
  }

  // Heading
  const live = h("input", { type: "checkbox", checked: true });
  const liveTitle = `${model.get("simulated") ? "Let time pass, and run" : "Run"} xl list every 3 s while this is in view`;
  const badge = model.get("simulated")
    ? h("span", { class: "badge simulated" }, `${model.get("where")} · simulated`)
    : h("span", { class: "badge" }, `${model.get("where")} · real Xen`);
  const head = h("div", { class: "head" },
    h("h3", {}, "Domains"), badge, h("span", { class: "gap" }),
    model.get("simulated") && h("button", {
      title: "Let simulated time pass", onclick: () => press("wait", { seconds: 10 }),
    }, "Let 10 s pass"),
    h("label", { class: "live", title: liveTitle }, live, "Live"),
    h("button", { title: "xl list", onclick: () => press("refresh") }, "Refresh"));

  // Table, and the buttons for the selected domain
  const body = h("tbody");
  const domains = h("table", {},
    h("thead", {}, h("tr", {},
      ...["Name", "ID", "Mem", "VCPUs", "State", "Time(s)"].map((name) => h("th", { scope: "col" }, name)))),
    body);
  const chosen = h("div", { class: "label" });
  const actions = BUTTONS.map(([button, label, command]) =>
    h("button", {
      title: command, "data-button": button, class: button === "destroy" ? "grave" : "",
      onclick: () => press(button, { name: model.get("selected") }),
    }, label));
  const saved = h("div", { class: "bar saved" });

  // Form for a new domain
  const field = (label, input) => h("label", {}, h("span", {}, label), input);
  const name = h("input", { type: "text", value: "web", size: 8, spellcheck: "false", autocomplete: "off" });
  const memory = h("input", { type: "number", value: 128, min: 16, step: 16 });
  const vcpus = h("input", { type: "number", value: 1, min: 1, max: 8 });
  const choice = (values) => h("select", {}, ...values.map((value) => h("option", {}, value)));
  const type = choice(["pv", "pvh"]);
  const workload = choice(WORKLOADS);
  const create = h("button", { class: "main", type: "submit", title: "xl create", "data-button": "create" }, "Create");
  const form = h("form", {
    class: "bar form",
    novalidate: true, // the host's own message is the better teacher
    onsubmit: (event) => {
      event.preventDefault();
      press("create", {
        name: name.value.trim(), memory: memory.value, vcpus: vcpus.value, type: type.value, workload: workload.value,
      });
    },
  }, field("New domain", name), field("MiB", memory), field("VCPUs", vcpus), field("Type", type),
  field("Workload", workload), create);

  const status = h("div", { class: "status", role: "status" });
  const log = transcriptBox();
  const picture = h("div", { class: "picture", html: model.get("svg") });
  const caption = h("p", { class: "soft" });

  const root = h("div", { class: "xl xl-dashboard" },
    head,
    h("div", { class: "halves" },
      h("div", { class: "left" },
        h("div", { class: "domains" }, domains),
        chosen,
        h("div", { class: "bar" }, ...actions),
        saved, form, status),
      h("div", { class: "right" }, h("div", { class: "label" }, "What was run in dom0"), log)),
    h("div", { class: "life" }, caption, picture));
  el.append(root);

  function showDomains() {
    const selected = model.get("selected");
    body.replaceChildren(...model.get("domains").map((domain) =>
      h("tr", {
        class: domain.name === selected ? "selected" : "",
        onclick: () => { model.set("selected", domain.name); model.save_changes(); },
      },
      h("td", {}, h("button", { class: "name", "aria-pressed": String(domain.name === selected) }, domain.name)),
      h("td", { class: "number" }, String(domain.id)),
      h("td", { class: "number" }, String(domain.memory)),
      h("td", { class: "number" }, String(domain.vcpus)),
      h("td", {}, h("code", {}, domain.letters), " ",
        h("span", { class: "state" }, h("span", { class: `dot ${domain.state}` }), domain.state)),
      h("td", { class: "number" }, domain.seconds.toFixed(1)))));
    showDomain();
  }

  function showDomain() {
    const selected = model.get("selected");
    const domain = model.get("domains").find((each) => each.name === selected);
    const idle = !model.get("busy") && (!waiting || waiting === "refresh");
    chosen.replaceChildren(...(selected ? ["Do something to ", h("strong", {}, selected)] : ["No guest yet"]));
    for (const button of actions)
      button.disabled = !idle || !domain || !domain.buttons.includes(button.dataset.button);
    create.disabled = !idle;
    for (const button of saved.querySelectorAll("button")) button.disabled = !idle;
  }

  function showSaved() {
    const images = Object.keys(model.get("images"));
    saved.hidden = images.length === 0;
    saved.replaceChildren(...images.map((image) =>
      h("button", {
        title: `xl restore ${model.get("images")[image]}`, "data-button": "restore",
        onclick: () => press("restore", { name: image }),
      }, `Restore ${image}`)));
    showDomain();
  }

  function showStatus() {
    const busy = model.get("busy") || (waiting === "refresh" ? "" : waiting);
    const { failed, text } = model.get("message");
    status.className = `status ${busy ? "busy" : failed ? "failed" : ""}`;
    if (busy) status.replaceChildren(`Working: ${busy} …`);
    else if (failed) status.replaceChildren(icon("wrong"), h("pre", {}, text));
    else status.replaceChildren(...text.split("`").map((part, i) => (i % 2 ? h("code", {}, part) : part)));
  }

  function showLife() {
    const selected = model.get("selected");
    const state = model.get("state");
    light(picture.firstElementChild, selected ? state : "", model.get("event"));
    caption.replaceChildren(...(selected
      ? ["Where ", h("strong", {}, selected), ` is in its life: ${state === "absent" ? "no domain" : state}.`]
      : ["The life of a domain. Create one and watch it move."]));
  }

  const unfollow = [
    follow(model, ["domains", "selected"], showDomains),
    follow(model, ["images"], showSaved),
    follow(model, ["busy", "message"], () => { showStatus(); showDomain(); }),
    follow(model, ["state", "event", "selected"], showLife),
    follow(model, ["rows"], () => fillTranscript(log, model.get("rows"))),
  ];
  function answered(message) {
    if (message.done !== waiting) return; // that was the look before the press
    waiting = "";
    if (message.failed && message.done === "refresh") live.checked = false;
    showStatus();
    showDomain();
  }
  model.on("msg:custom", answered);

  const watcher = new IntersectionObserver(([entry]) => { inView = entry.isIntersecting; });
  watcher.observe(root);
  const poll = setInterval(() => {
    if (live.checked && inView && !document.hidden && !waiting && !model.get("busy"))
      press("refresh", model.get("simulated") ? { seconds: POLL / 1000 } : {}); // its clock goes only when told
  }, POLL);

  return () => {
    clearInterval(poll);
    watcher.disconnect();
    model.off("msg:custom", answered);
    unfollow.forEach((stop) => stop());
  };
}

export default { render };
