// Draws the page's charts from its data, again when its width changes, and sorts tables. All text goes in as text.
"use strict";

(() => {
  const drawers = { lines: drawLines, bars: drawBars, pairs: drawPairs, dots: drawDots, space: drawSpace };
  const charts = JSON.parse(document.getElementById("data").textContent);

  function draw(chart, width) {
    const place = document.getElementById(chart.id);
    try {
      const parts = [drawers[chart.kind](chart, width)].flat();
      for (const part of parts) part.setAttribute("aria-hidden", "true");
      place.replaceChildren(...parts);
      place.dataset.width = String(width);
    } catch (error) {
      const note = document.createElement("p");
      note.className = "chart-error";
      note.textContent = `This chart could not be drawn (${error.message}). Its figures are in the table below.`;
      place.replaceChildren(note);
    }
  }

  function drawAll(forced) {
    for (const chart of charts) {
      const width = forced ?? Math.max(280, Math.floor(document.getElementById(chart.id).clientWidth));
      if (document.getElementById(chart.id).dataset.width !== String(width)) draw(chart, width);
    }
  }

  drawAll();
  let waiting = 0;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => drawAll(), 120);
  });

  // Paper is narrower than a screen: letters stay as large as they are meant to be.
  const folded = [...document.querySelectorAll("details")];
  let open = [];
  addEventListener("beforeprint", () => {
    open = folded.map((details) => details.open);
    folded.forEach((details) => { details.open = true; });
    drawAll(680);
  });
  addEventListener("afterprint", () => {
    folded.forEach((details, i) => { details.open = open[i]; });
    drawAll();
  });

  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    const unsorted = [...body.rows];
    table.querySelectorAll("thead th").forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = heading.textContent;
      heading.replaceChildren(button);
      button.addEventListener("click", () => {
        const next = { none: "descending", descending: "ascending", ascending: "none" }[heading.ariaSort ?? "none"];
        table.querySelectorAll("thead th").forEach((other) => other.removeAttribute("aria-sort"));
        if (next !== "none") heading.setAttribute("aria-sort", next);
        const value = (row) => row.cells[column].querySelector("bdi").textContent;
        const compare = (a, b) => d3.ascending(Number(value(a)), Number(value(b))) || d3.ascending(value(a), value(b));
        const rows = next === "none" ? unsorted : [...unsorted].sort((a, b) => (next === "ascending" ? compare(a, b) : compare(b, a)));
        body.replaceChildren(...rows);
      });
    });
  }

  document.documentElement.dataset.drawn = String(charts.length);
})();
