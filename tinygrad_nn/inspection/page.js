"use strict";
// Shows one step at a time: that in the fragment of the address. Every step stands in the page already.
(() => {
  const [back, slider, next, said, naive] = ["back", "slider", "next", "said", "naive-order"].map(id => document.getElementById(id));
  const stepsOf = kind => document.querySelectorAll(`#${kind}s li`);
  const show = (kind, asked, move) => {
    const steps = stepsOf(kind), number = Math.min(Math.max(asked, 1), steps.length), step = steps[number - 1];
    if (location.hash !== `#${kind}-${number}`) move(`#${kind}-${number}`);
    naive.checked = kind === "naive";
    Object.assign(slider, {max: steps.length, value: number});
    slider.setAttribute("aria-valuetext", step.querySelector("h3").textContent);
    said.textContent = `step ${number} of ${steps.length}`;
    back.disabled = number === 1;
    next.disabled = number === steps.length;
    for (const box of document.querySelectorAll("[data-node]")) {
      box.classList.toggle("now", box.dataset.node === step.dataset.at);
      box.classList.toggle("read", step.dataset.read.split(" ").includes(box.dataset.node));
    }
    document.querySelector("g.now")?.scrollIntoView({block: "nearest", inline: "nearest"});
  };
  const read = () => {
    const [, kind, number] = /^#(step|naive)-(\d+)$/.exec(location.hash) || ["", "step", 1];
    show(stepsOf(kind).length ? kind : "step", number, hash => location.replace(hash));
  };
  const go = by => show(naive.checked ? "naive" : "step", +slider.value + by, hash => {
    const focused = document.activeElement; // which a new fragment takes the focus from
    location.hash = hash;
    focused.focus({preventScroll: true});
  });
  back.onclick = () => go(-1);
  next.onclick = () => go(1);
  slider.oninput = () => go(0);
  naive.onchange = () => go(-slider.value);
  addEventListener("keydown", event => {
    const by = {ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity}[event.key];
    if (by === undefined || event.target === slider || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    go(by);
  });
  addEventListener("hashchange", read);
  document.body.classList.add("stepping");
  document.querySelector("nav").hidden = false;
  read();
})();
