"use strict";
(function () {
  const data = JSON.parse(document.getElementById("curves").textContent);
  const LINES = [["Net", "--net", 1.6], ["Gross", "--gross", 1.2], ["Buy & hold", "--market", 1.2]];
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 4 });
  const plain = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
  const percent = (v) => (v == null ? "–" : (100 * v).toFixed(1) + " %");
  const money = (v) => (v == null ? "–" : plain.format(v));
  const utc = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ");
  let plots = [];

  function options(title, height, lines, tick, read, legend) {
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--grid"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    return {
      title, height, width: 600, legend: { show: legend, live: true },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      cursor: { sync: { key: "run" }, points: { size: 6 }, y: false },
      axes: [{ ...axis, space: 70 }, { ...axis, size: 66, values: (_, values) => values.map(tick) }],
      series: [{ label: "UTC", value: (_, v) => (v == null ? "–" : utc(v)) }].concat(
        lines.map(([label, name, width]) => ({ label, stroke: colour(name), width, points: { show: false }, value: (_, v) => read(v) }))),
    };
  }

  function draw() {
    plots.forEach(([plot]) => plot.destroy());
    plots = [
      ["plot-equity", options("Equity", 300, LINES, (v) => compact.format(v), money, true), [data.time, ...data.equity]],
      ["plot-drawdown", options("Drawdown", 170, LINES, percent, percent, false), [data.time, ...data.drawdown]],
      ["plot-exposure", options("Exposure (share of equity, short is negative)", 130, [["Exposure", "--accent", 1]], percent, percent, false), [data.time, data.exposure]],
    ].map(([id, opts, columns]) => {
      const place = document.getElementById(id);
      const width = place.clientWidth;
      return [new uPlot({ ...opts, width }, columns, place), place];
    });
  }

  draw();
  new ResizeObserver(() => plots.forEach(([plot, place]) => {
    if (place.clientWidth !== plot.width) plot.setSize({ width: place.clientWidth, height: plot.height });
  })).observe(document.querySelector("main"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
