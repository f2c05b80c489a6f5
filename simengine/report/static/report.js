"use strict";
(function () {
  const data = JSON.parse(document.getElementById("curves").textContent);
  const LINES = [["Net", "--net", 1.6], ["Gross", "--gross", 1.2], ["Buy & hold", "--market", 1.2]];
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 4 });
  const plain = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
  const minus = (text) => text.replace("-", "\u2212");
  const whole = (v) => minus(String(Math.round(1000 * v) / 10)) + " %";
  const percent = (v) => (v == null ? "–" : minus((100 * v).toFixed(1)) + " %");
  const money = (v) => (v == null ? "–" : plain.format(v));
  const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const utc = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ");
  // Dates as in the rest of the page: day before month, the year where it begins or changes.
  const dates = (_, splits, axis, space, step) => splits.map((seconds, i) => {
    const at = new Date(seconds * 1000);
    const before = i > 0 ? new Date(splits[i - 1] * 1000) : null;
    const year = !before || before.getUTCFullYear() !== at.getUTCFullYear() ? "\n" + at.getUTCFullYear() : "";
    const day = at.getUTCDate() + " " + MONTHS[at.getUTCMonth()];
    if (step >= 86400) return (step >= 28 * 86400 ? MONTHS[at.getUTCMonth()] : day) + year;
    const clock = at.toISOString().slice(11, step < 60 ? 19 : 16);
    return clock + (!before || before.getUTCDate() !== at.getUTCDate() ? "\n" + day + year.replace("\n", " ") : "");
  });
  let plots = [];

  function options(title, height, lines, tick, read, legend) {
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--grid"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    return {
      title, height, width: 600, legend: { show: legend, live: true },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      cursor: { sync: { key: "run" }, points: { size: 6 }, y: false },
      axes: [{ ...axis, space: 70, values: dates }, { ...axis, size: 66, values: (_, values) => values.map(tick) }],
      series: [{ label: "UTC", value: (_, v) => (v == null ? "–" : utc(v)) }].concat(
        lines.map(([label, name, width]) => ({ label, stroke: colour(name), width, points: { show: false }, value: (_, v) => read(v) }))),
    };
  }

  function draw() {
    plots.forEach(([plot]) => plot.destroy());
    plots = [
      ["plot-equity", options("Equity", 300, LINES, (v) => compact.format(v), money, true), [data.time, ...data.equity]],
      ["plot-drawdown", options("Drawdown", 190, LINES, whole, percent, false), [data.time, ...data.drawdown]],
      ["plot-exposure", options("Exposure, mean (share of equity, short is negative)", 180, [["Exposure", "--accent", 1]], whole, percent, false), [data.exposure_time, data.exposure]],
    ].map(([id, opts, columns]) => {
      const place = document.getElementById(id);
      const width = place.clientWidth;
      return [new uPlot({ ...opts, width }, columns, place), place];
    });
  }

  draw();
  const fit = () => plots.forEach(([plot, place]) => {
    if (place.clientWidth !== plot.width) plot.setSize({ width: place.clientWidth, height: plot.height });
  });
  new ResizeObserver(() => requestAnimationFrame(fit)).observe(document.querySelector("main"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
