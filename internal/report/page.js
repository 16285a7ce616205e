"use strict";
document.documentElement.classList.add("live");

// Sliders: the range input lies over the picture and moves the edge of the degraded image.
for (const compare of document.querySelectorAll(".compare")) {
  const input = compare.querySelector("input");
  const move = () => {
    compare.style.setProperty("--x", input.value + "%");
    compare.querySelector(".left").style.opacity = input.value < 12 ? 0 : 1;
    compare.querySelector(".right").style.opacity = input.value > 88 ? 0 : 1;
  };
  input.addEventListener("input", move);
  move(); // a browser may remember the position over a reload
}

for (const button of document.querySelectorAll(".swap")) {
  button.addEventListener("click", () => {
    const pair = button.closest(".pair");
    const show = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", show);
    pair.querySelector(".truth").hidden = !show;
    pair.querySelector(".right").textContent = show ? "ground truth" : "restored";
  });
}

for (const button of document.querySelectorAll(".copy")) {
  button.addEventListener("click", async () => {
    const code = button.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    } catch {
      getSelection().selectAllChildren(code); // no permission: ready for the keyboard
    }
  });
}

// Charts: name the points nearest to the pointer, or step through them with the arrow keys.
for (const chart of document.querySelectorAll(".chart")) {
  const data = JSON.parse(chart.querySelector("script").textContent);
  const plot = chart.querySelector(".plot");
  const scale = data.log ? Math.log : (v) => v;
  const left = (x) => 100 * (x - data.x[0]) / (data.x[1] - data.x[0]);
  const bottom = (y) => 100 * (scale(y) - scale(data.y[0])) / (scale(data.y[1]) - scale(data.y[0]));
  const all = [...new Set(data.series.flatMap((s) => s.x || []))].sort((a, b) => a - b);
  const parts = [];
  let at = -1;

  const make = (tag, name, parent, text) => {
    const e = document.createElement(tag);
    e.className = name;
    if (text !== undefined) e.textContent = text;
    parent.append(e);
    return e;
  };
  const nearest = (xs, x) => {
    let low = 0, high = xs.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (xs[middle] < x) low = middle + 1; else high = middle;
    }
    return low > 0 && x - xs[low - 1] <= xs[low] - x ? low - 1 : low;
  };
  const hide = () => { while (parts.length) parts.pop().remove(); };
  const show = (index) => {
    hide();
    at = index;
    const x = all[index];
    const cursor = make("div", "cursor", plot);
    cursor.style.left = left(x) + "%";
    const tip = make("div", "tip", plot);
    if (left(x) < 50) tip.style.left = "calc(" + left(x) + "% + .8rem)";
    else tip.style.right = "calc(" + (100 - left(x)) + "% + .8rem)";
    parts.push(cursor, tip);
    const head = make("div", "at", tip);
    make("i", "", head, data.label);
    make("b", "", head, String(x));
    for (const s of data.series) {
      if (!s.x || !s.x.length) continue;
      const i = nearest(s.x, x);
      if (Math.abs(s.x[i] - x) > (data.x[1] - data.x[0]) / 100) continue;
      const mark = make("div", "mark s" + s.colour, plot);
      mark.style.left = left(s.x[i]) + "%";
      mark.style.bottom = bottom(s.y[i]) + "%";
      parts.push(mark);
      const row = make("div", "", tip);
      make("i", "s" + s.colour, row, s.name);
      make("b", "", row, String(Number(s.y[i].toPrecision(4))));
    }
  };
  if (!all.length) continue;
  plot.addEventListener("pointermove", (e) => {
    const box = plot.getBoundingClientRect();
    show(nearest(all, data.x[0] + (e.clientX - box.left) / box.width * (data.x[1] - data.x[0])));
  });
  plot.addEventListener("pointerleave", hide);
  plot.addEventListener("blur", hide);
  plot.addEventListener("keydown", (e) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[e.key];
    if (!step) return;
    e.preventDefault();
    show(Math.min(Math.max(at < 0 ? 0 : at + step, 0), all.length - 1));
  });
}
