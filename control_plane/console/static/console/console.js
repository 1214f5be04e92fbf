// What the console adds to Unfold's pages: copy buttons, the live part, the policy's rows.
(() => {
  "use strict";

  // ---- copy buttons -------------------------------------------------------------------
  async function copy(button) {
    const text = button.dataset.copy;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Outside a secure context there is no clipboard API: let the person copy by hand.
      const shown = button.parentElement.querySelector("code");
      getSelection().selectAllChildren(shown);
      button.textContent = "Selected";
      return;
    }
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-copy]");
    if (button) copy(button);
  });

  // ---- the live part ------------------------------------------------------------------
  const LIVE = ["live", "endpoint-live"];
  const isLive = (event) => LIVE.includes(event.detail?.elt?.id);

  function offline(hidden) {
    const notice = document.getElementById("offline");
    if (notice) notice.hidden = hidden;
    for (const id of LIVE) document.getElementById(id)?.classList.toggle("n-stale", !hidden);
  }

  document.addEventListener("htmx:beforeRequest", (event) => {
    // Nobody looks at a hidden tab, and a swap would tear a selection apart.
    const selecting = String(getSelection()).length > 0;
    if (isLive(event) && (document.hidden || selecting)) event.preventDefault();
  });
  document.addEventListener("htmx:sendError", (event) => isLive(event) && offline(false));
  document.addEventListener("htmx:responseError", (event) => isLive(event) && offline(false));
  document.addEventListener("htmx:afterOnLoad", (event) => isLive(event) && offline(true));

  // ---- the policy's rows --------------------------------------------------------------
  const SVG = "http://www.w3.org/2000/svg";
  const COLOURS = 8;

  function policy(form) {
    const arms = form.querySelector("[data-arms]");
    const blank = form.querySelector("[data-blank]");
    const total = form.querySelector("[data-total]");
    const bar = form.querySelector("[data-bar]");
    const rest = form.querySelector("[data-rest]");
    let next = arms.children.length + 1;

    const rows = () => [...arms.querySelectorAll("[data-arm]")];
    // In hundredths of a percent: whole numbers add up exactly.
    const parts = (row) => Math.round((parseFloat(row.querySelector("[data-weight]").value) || 0) * 100);
    const primary = () => arms.querySelector('input[name="primary"]:checked')?.closest("[data-arm]");

    function draw() {
      let x = 0;
      bar.replaceChildren();
      rows().forEach((row, i) => {
        const colour = `n-c${i % COLOURS}`;
        row.querySelector("[data-dot]").className = `n-dot ${colour}`;
        const width = Math.max(0, parts(row)) / 100;
        const rect = document.createElementNS(SVG, "rect");
        for (const [name, value] of Object.entries({ x: `${x}%`, width: `${width}%`, y: 0, height: 14, class: colour })) {
          rect.setAttribute(name, value);
        }
        bar.append(rect);
        x += width;
      });
      const sum = rows().reduce((all, row) => all + parts(row), 0);
      const left = 10000 - sum;
      const say = (value) => `${Math.abs(value) / 100} %`;
      total.textContent = left === 0 ? "100 %" : `${say(sum)}: ${say(left)} ${left > 0 ? "left" : "too much"}`;
      total.classList.toggle("n-wrong", left !== 0);
      rest.hidden = left === 0 || !primary() || parts(primary()) + left < 0;
      for (const button of arms.querySelectorAll("[data-remove]")) button.disabled = rows().length === 1;
    }

    function changed() {
      // A plan tells of the draft it was made from, so an edit takes it away with its button.
      form.querySelector("[data-plan]")?.remove();
      form.querySelector("[data-apply]")?.remove();
      form.querySelector("[data-preview]").classList.add("n-primary");
      draw();
    }

    function add() {
      const key = String(next++);
      const holder = document.createElement("template");
      holder.innerHTML = blank.innerHTML.replaceAll("__key__", key);
      arms.append(holder.content);
      changed();
      rows().at(-1).querySelector("select").focus();
    }

    function remove(row) {
      const wasPrimary = row.querySelector('input[name="primary"]').checked;
      row.remove();
      if (wasPrimary && rows().length === 1) rows()[0].querySelector('input[name="primary"]').checked = true;
      changed();
    }

    form.addEventListener("input", (event) => event.target.name !== "reason" && changed());
    form.addEventListener("click", (event) => {
      const on = (selector) => event.target.closest(selector);
      if (on("[data-add]")) add();
      if (on("[data-remove]")) remove(on("[data-arm]"));
      if (on("[data-rest]")) {
        const row = primary();
        const sum = rows().reduce((all, each) => all + parts(each), 0);
        row.querySelector("[data-weight]").value = (parts(row) + 10000 - sum) / 100;
        changed();
      }
    });
    draw();
    form.querySelector("[data-plan]")?.scrollIntoView({ block: "nearest" });
  }

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("[data-policy]").forEach(policy);
  });
})();
