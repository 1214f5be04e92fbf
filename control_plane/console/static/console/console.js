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

  // ---- Escape closes what opens ---------------------------------------------------------
  // Unfold's menus close on a click outside; who opened one by keyboard has none to make. The
  // focus goes back to what opened it, for what is hidden cannot keep it.
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.defaultPrevented) return;
    const inside = document.activeElement;
    document.body.dispatchEvent(new MouseEvent("click", { bubbles: true }));
    if (inside && inside !== document.body) backToOpener(inside, performance.now() + 600);
  });

  // Once what had the focus is hidden, which a menu that fades out takes a moment for.
  function backToOpener(inside, until) {
    if (inside.checkVisibility()) {
      if (performance.now() < until) requestAnimationFrame(() => backToOpener(inside, until));
      return;
    }
    for (let holder = inside.parentElement; holder; holder = holder.parentElement) {
      const openers = [...holder.querySelectorAll("a, button, [tabindex]")];
      const opener = openers.find((one) => one.checkVisibility());
      if (opener) return opener.focus();
    }
  }

  // ---- the live part ------------------------------------------------------------------
  const isLive = (event) => event.detail?.elt?.hasAttribute?.("data-live");

  function offline(hidden) {
    const notice = document.getElementById("offline");
    if (notice) notice.hidden = hidden;
    for (const part of document.querySelectorAll("[data-live]")) part.classList.toggle("n-stale", !hidden);
  }

  document.addEventListener("htmx:beforeRequest", (event) => {
    // Nobody looks at a hidden tab, and a swap would tear a selection apart.
    const selecting = String(getSelection()).length > 0;
    if (isLive(event) && (document.hidden || selecting)) event.preventDefault();
  });
  document.addEventListener("htmx:sendError", (event) => isLive(event) && offline(false));
  document.addEventListener("htmx:responseError", (event) => isLive(event) && offline(false));
  document.addEventListener("htmx:afterOnLoad", (event) => isLive(event) && offline(true));

  // ---- the policy's form --------------------------------------------------------------
  const SVG = "http://www.w3.org/2000/svg";
  const COLOURS = 8;

  function policy(form) {
    const arms = form.querySelector('[data-rows="arm"]');
    const total = form.querySelector("[data-total]");
    const bar = form.querySelector("[data-bar]");
    const rest = form.querySelector("[data-rest]");
    const mode = form.querySelector("[data-mode]");
    const highest = (nodes) => Math.max(0, ...[...nodes].map((node) => Number(node.dataset.key) || 0));
    // Never a key again that a removed row had: what still leads to it would lead to the new one.
    let next = highest(form.querySelectorAll("[data-row]")) + 1;

    const rows = () => [...arms.querySelectorAll("[data-arm]")];
    const weight = (row) => row.querySelector("[data-weight]").value;
    // In hundredths of a percent: whole numbers add up exactly.
    const parts = (row) => Math.round((parseFloat(weight(row)) || 0) * 100);
    const primary = () => arms.querySelector('input[name="primary"]:checked')?.closest("[data-arm]");

    function drawBar() {
      const adaptive = mode?.value === "adaptive";
      const even = adaptive && rows().every((row) => weight(row) === "");
      let x = 0;
      bar.replaceChildren();
      rows().forEach((row, i) => {
        const colour = `n-c${i % COLOURS}`;
        row.querySelector("[data-dot]").className = `n-dot ${colour}`;
        const width = even ? 100 / rows().length : Math.max(0, parts(row)) / 100;
        const rect = document.createElementNS(SVG, "rect");
        for (const [name, value] of Object.entries({ x: `${x}%`, width: `${width}%`, y: 0, height: 14, class: colour })) {
          rect.setAttribute(name, value);
        }
        bar.append(rect);
        x += width;
      });
      const sum = rows().reduce((all, row) => all + parts(row), 0);
      const left = even ? 0 : 10000 - sum;
      const say = (value) => `${Math.abs(value) / 100} %`;
      total.textContent = even ? "all of them" : left === 0 ? "100 %" : `${say(sum)}: ${say(left)} ${left > 0 ? "left" : "too much"}`;
      total.classList.toggle("n-wrong", left !== 0);
      rest.hidden = left === 0 || !primary() || parts(primary()) + left < 0;
      for (const button of arms.querySelectorAll("[data-remove]")) button.disabled = rows().length === 1;
    }

    // What an arm is called: its name, or the one the server makes of its version.
    function called(row) {
      const version = row.querySelector("[data-version]").value.replace(":", "-v");
      return row.querySelector("[data-name]").value.trim() || version || "the new arm";
    }

    // Rules, shadows and overflows choose among the arms that there are now.
    function offerArms() {
      const names = new Map(rows().map((row) => [row.dataset.key, called(row)]));
      for (const select of form.querySelectorAll("select[data-choose-arm]")) {
        const itself = "notItself" in select.dataset ? select.closest("[data-arm]")?.dataset.key : null;
        const isArm = (option) => /^[0-9]+$/.test(option.value);
        for (const option of [...select.options].filter(isArm)) {
          if (names.has(option.value)) option.textContent = names.get(option.value);
          else if (option.selected) option.textContent = "a removed arm: choose another";
          else option.remove();
        }
        const there = new Set([...select.options].map((option) => option.value));
        for (const [key, name] of names) {
          if (key !== itself && !there.has(key)) select.add(new Option(name, key));
        }
      }
    }

    function orderRules() {
      const rules = [...form.querySelectorAll('[data-rows="rule"] > [data-row]')];
      rules.forEach((rule, i) => {
        rule.querySelector("[data-up]").disabled = i === 0;
        rule.querySelector("[data-down]").disabled = i === rules.length - 1;
        const conditions = rule.querySelectorAll("[data-remove-condition]");
        for (const button of conditions) button.disabled = conditions.length === 1;
      });
    }

    function draw() {
      offerArms();
      orderRules();
      drawBar();
    }

    function changed(target) {
      // A plan tells of the draft it was made from, so an edit takes it away with its button.
      form.querySelector("[data-plan]")?.remove();
      form.querySelector("[data-apply]")?.remove();
      form.querySelector("[data-preview]").classList.add("n-primary");
      const says = target?.closest?.("details")?.querySelector(":scope > summary [data-says]");
      if (says) says.textContent = "edited: the preview says it in words";
      draw();
    }

    function filled(name, keys) {
      const holder = document.createElement("template");
      let html = form.querySelector(`[data-blank="${name}"]`).innerHTML;
      for (const [word, key] of Object.entries(keys)) html = html.replaceAll(word, key);
      holder.innerHTML = html;
      return holder.content.firstElementChild;
    }

    function show(row, into) {
      into.append(row);
      changed(row);
      row.querySelector("select").focus();
    }

    function add(name) {
      show(filled(name, { __key__: String(next++) }), form.querySelector(`[data-rows="${name}"]`));
    }

    function addCondition(rule) {
      const into = rule.querySelector("[data-conditions]");
      const key = String(highest(into.querySelectorAll("[data-condition]")) + 1);
      show(filled("condition", { __key__: rule.dataset.key, __condition__: key }), into);
    }

    function remove(row) {
      const parent = row.parentElement;
      const wasPrimary = row.querySelector('input[name="primary"]')?.checked;
      row.remove();
      if (wasPrimary && rows().length === 1) rows()[0].querySelector('input[name="primary"]').checked = true;
      changed(parent);
    }

    function giveTheRest() {
      const row = primary();
      const sum = rows().reduce((all, each) => all + parts(each), 0);
      row.querySelector("[data-weight]").value = (parts(row) + 10000 - sum) / 100;
      changed();
    }

    form.addEventListener("input", (event) => event.target.name !== "reason" && changed(event.target));
    form.addEventListener("click", (event) => {
      const on = (selector) => event.target.closest(selector);
      const row = on("[data-row]");
      if (on("[data-add]")) add(on("[data-add]").dataset.add);
      if (on("[data-remove]")) remove(row);
      if (on("[data-and]")) addCondition(row);
      if (on("[data-remove-condition]")) remove(on("[data-condition]"));
      if (on("[data-up]")) row.previousElementSibling.before(row);
      if (on("[data-down]")) row.nextElementSibling.after(row);
      if (on("[data-up], [data-down]")) changed(row);
      if (on("[data-rest]")) giveTheRest();
    });
    draw();
    const first = form.querySelector('[aria-invalid="true"]') ?? form.querySelector("[data-plan]");
    first?.scrollIntoView({ block: first.matches("[data-plan]") ? "nearest" : "center" });
  }

  // ---- rows of words ------------------------------------------------------------------
  function edit(form) {
    form.addEventListener("click", (event) => {
      const add = event.target.closest("[data-add]");
      const remove = event.target.closest("[data-remove]");
      if (add) {
        const kind = add.dataset.add;
        const holder = form.querySelector(`[data-blank="${kind}"]`).content.cloneNode(true);
        const row = holder.firstElementChild;
        form.querySelector(`[data-rows="${kind}"]`).append(row);
        row.querySelector("input, select").focus();
      }
      if (remove) {
        const row = remove.closest("[data-row]");
        const near = row.nextElementSibling ?? row.previousElementSibling;
        const back = near?.querySelector("input") ?? row.parentElement.parentElement.querySelector("[data-add]");
        row.remove();
        back?.focus();
      }
      const row = event.target.closest("[data-row]");
      const [up, down] = ["[data-up]", "[data-down]"].map((one) => event.target.closest(one));
      if (up) row.previousElementSibling?.before(row);
      if (down) row.nextElementSibling?.after(row);
      (up || down)?.focus();
    });
  }

  // ---- a rollout's form ---------------------------------------------------------------
  function rollout(form) {
    // What a step says depends on its kind: the hint beside it goes with the choice.
    function explain(row) {
      const chosen = row.querySelector("[data-step-kind]").selectedOptions[0];
      const value = row.querySelector("[data-step-value]");
      value.placeholder = chosen.dataset.hint;
      value.hidden = chosen.value === "approval";
      row.querySelector("[data-step-about]").textContent = chosen.dataset.about;
    }
    const explainAll = () => form.querySelectorAll("[data-row]").forEach(explain);
    previewed(form, explainAll);
    explainAll();
  }

  // What was foreseen tells of the form it was made from, so an edit takes it away.
  function previewed(form, then = () => {}) {
    function changed() {
      form.querySelector("[data-plan]")?.remove();
      form.querySelector("[data-apply]")?.remove();
      form.querySelector("[data-preview]").classList.add("n-primary");
      then();
    }
    form.addEventListener("input", (event) => event.target.name !== "reason" && changed());
    form.addEventListener("click", (event) => {
      if (event.target.closest("[data-add], [data-remove], [data-up], [data-down]")) changed();
    });
    form.querySelector("[data-plan]")?.scrollIntoView({ block: "nearest" });
  }

  // Django's box of two lists names its fields by pictures alone, and makes them after the page.
  function nameFilters() {
    for (const input of document.querySelectorAll(".selector input:not([aria-label])")) {
      input.setAttribute("aria-label", input.id.includes("selected") ? "Filter what is chosen" : "Filter what there is");
    }
  }
  addEventListener("load", () => setTimeout(nameFilters));

  // After Django's own script, which comes when it likes and puts the focus on the first field.
  addEventListener("load", () => document.querySelector('[data-edit] [aria-invalid="true"]')?.focus());

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("[data-policy]").forEach(policy);
    document.querySelectorAll("[data-edit]").forEach(edit);
    document.querySelectorAll("[data-rollout]").forEach(rollout);
    document.querySelectorAll("[data-previewed]").forEach((form) => previewed(form));
  });
})();
