"use strict";
// Shows one step at a time. Every step stands in the page already; its number is in the fragment of the address.
(() => {
  const [back, slider, next, said, naive] = ["back", "slider", "next", "said", "naive-order"].map(id => document.getElementById(id));
  const lists = Object.fromEntries(["step", "naive"].map(kind => [kind, [...document.querySelectorAll(`#${kind}s li`)]]));
  const boxes = new Map([...document.querySelectorAll("[data-node]")].map(box => [box.dataset.node, box]));
  let kind = "step", at = 0;
  const go = i => {
    const last = lists[kind].length - 1;
    location.hash = `${kind}-${Math.min(Math.max(i, 0), last) + 1}`;
    show(); // the event comes later, and the next key may come before it
  };
  const show = () => {
    const match = /^#(step|naive)-(\d+)$/.exec(location.hash) || ["", "step", "1"];
    kind = match[1];
    at = Math.min(Math.max(match[2] - 1, 0), lists[kind].length - 1);
    document.querySelectorAll(".now, .read").forEach(one => one.classList.remove("now", "read"));
    const step = lists[kind][at], parts = lists[kind].length;
    step.classList.add("now");
    step.closest("section").classList.add("now");
    for (const number of (step.dataset.read || "").split(" ")) boxes.get(number)?.classList.add("read");
    const box = boxes.get(step.dataset.at);
    box?.classList.add("now");
    box?.scrollIntoView({block: "nearest", inline: "nearest"});
    Object.assign(slider, {max: parts, value: at + 1});
    slider.setAttribute("aria-valuetext", step.querySelector("h3").textContent);
    said.textContent = `step ${at + 1} of ${parts}`;
    naive.checked = kind === "naive";
    back.disabled = at === 0;
    next.disabled = at === parts - 1;
  };
  back.onclick = () => go(at - 1);
  next.onclick = () => go(at + 1);
  slider.oninput = () => go(slider.value - 1);
  naive.onchange = () => { kind = naive.checked ? "naive" : "step"; go(0); };
  document.addEventListener("keydown", event => {
    const to = {ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: Infinity}[event.key];
    if (to === undefined || event.target === slider || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    go(to);
  });
  addEventListener("hashchange", show);
  document.body.classList.add("stepping");
  document.querySelector("nav").hidden = false;
  show();
})();
