// What every page of the console has to have, asked of the page itself. Returns the faults in words.
(phone) => {
  const faults = [];
  const shown = (node) => node.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const say = (node) => {
    const text = (node.innerText || node.value || "").trim().replace(/\s+/g, " ").slice(0, 40);
    const name = node.className && typeof node.className === "string" ? `.${node.className.split(/\s+/).slice(0, 3).join(".")}` : "";
    return `<${node.tagName.toLowerCase()}${node.id ? "#" + node.id : ""}${name}> “${text}”`;
  };

  // ---- the page itself
  if (!document.documentElement.lang) faults.push("no language");
  if (!document.title.trim()) faults.push("no title");
  const first = [...document.querySelectorAll("h1")].filter(shown);
  if (first.length !== 1) faults.push(`${first.length} first headings: ${first.map(say).join(", ")}`);
  const wide = document.documentElement.scrollWidth - innerWidth;
  if (phone && wide > 0) {
    const guilty = [...document.querySelectorAll("body *")].filter((n) => shown(n) && n.getBoundingClientRect().right > innerWidth + 1);
    faults.push(`scrolls sideways by ${wide} px: ${guilty.slice(-3).map(say).join(", ")}`);
  }
  const ids = new Map();
  for (const node of document.querySelectorAll("[id]")) ids.set(node.id, (ids.get(node.id) ?? 0) + 1);
  for (const [id, count] of ids) if (count > 1) faults.push(`the id ${id} stands ${count} times`);

  // ---- names for what can be used
  const named = (node) => {
    const by = node.getAttribute("aria-labelledby")?.split(/\s+/).map((id) => document.getElementById(id)?.textContent ?? "").join("");
    const images = [...node.querySelectorAll("img[alt], svg[aria-label]")].map((n) => n.alt || n.getAttribute("aria-label")).join("");
    return (node.getAttribute("aria-label") || by || node.title || node.textContent.trim() || images || "").trim();
  };
  for (const node of document.querySelectorAll("input, select, textarea")) {
    if (!shown(node) || ["hidden", "submit", "button"].includes(node.type)) continue;
    const label = [...(node.labels ?? [])].some((one) => one.textContent.trim());
    const aria = node.getAttribute("aria-label") || node.getAttribute("aria-labelledby") || node.title;
    if (!label && !aria) faults.push(`no label: ${say(node)} ${node.name}`);
  }
  for (const node of document.querySelectorAll("a[href], button, summary")) {
    if (shown(node) && !named(node)) faults.push(`no name: ${say(node)}`);
  }
  for (const node of document.querySelectorAll("img")) if (!node.hasAttribute("alt")) faults.push(`no alt: ${node.src}`);
  for (const node of document.querySelectorAll("svg[role=img]")) {
    if (shown(node) && !node.getAttribute("aria-label") && !node.getAttribute("aria-labelledby")) faults.push(`no name: ${say(node)}`);
  }

  // ---- contrast: WCAG 2.2, 1.4.3
  const brush = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
  const known = new Map();
  const rgba = (colour) => {
    if (!known.has(colour)) {
      brush.clearRect(0, 0, 1, 1);
      brush.fillStyle = colour;
      brush.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = brush.getImageData(0, 0, 1, 1).data;
      known.set(colour, [r, g, b, a / 255]);
    }
    return known.get(colour);
  };
  const over = (top, under) => top.slice(0, 3).map((part, i) => part * top[3] + under[i] * (1 - top[3]));
  const light = (colour) => {
    const [r, g, b] = colour.map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (node) => {
    const layers = [];
    for (let one = node; one; one = one.parentElement) {
      const style = getComputedStyle(one);
      if (style.backgroundImage !== "none") return null;
      const colour = rgba(style.backgroundColor);
      if (colour[3] > 0) layers.push(colour);
      if (colour[3] === 1) break;
    }
    const dark = document.documentElement.classList.contains("dark");
    return layers.reverse().reduce((under, top) => over(top, under), dark ? [0, 0, 0] : [255, 255, 255]);
  };
  const pairs = new Map();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    const node = text.parentElement;
    if (!text.data.trim() || !shown(node) || node.closest("[disabled], [aria-disabled=true], script, style, template, option")) continue;
    if (node.closest("svg")) continue; // asked by eye: a chart's texts have an outline
    const style = getComputedStyle(node);
    const under = ground(node);
    if (!under) continue;
    let faded = 1;
    for (let one = node; one; one = one.parentElement) faded *= parseFloat(getComputedStyle(one).opacity);
    const colour = rgba(style.color);
    const ink = over([...colour.slice(0, 3), colour[3] * faded], under);
    const [a, b] = [light(ink), light(under)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const size = parseFloat(style.fontSize);
    const icon = node.classList.contains("material-symbols-outlined");
    const large = icon || size >= 24 || (size >= 18.66 && parseInt(style.fontWeight) >= 700);
    if (ratio + 0.01 < (large ? 3 : 4.5)) {
      const key = `${style.color} on ${under.map(Math.round)}`;
      if (!pairs.has(key)) pairs.set(key, `contrast ${ratio.toFixed(2)}: ${key} in ${say(node)}`);
    }
  }
  faults.push(...pairs.values());

  // ---- targets: WCAG 2.2, 2.5.8: 24 px, or so far apart that a circle of 24 px touches no other
  if (phone) {
    const targets = [...document.querySelectorAll("button, select, summary, input:not([type=hidden]), nav a, .n-button")]
      .filter((node) => shown(node) && getComputedStyle(node).position !== "absolute" && node.getBoundingClientRect().height > 1)
      .map((node) => ({ node, box: node.getBoundingClientRect() }));
    const apart = (one, other) => {
      const x = one.box.left + one.box.width / 2, y = one.box.top + one.box.height / 2;
      const near = { x: Math.min(Math.max(x, other.box.left), other.box.right), y: Math.min(Math.max(y, other.box.top), other.box.bottom) };
      return Math.hypot(x - near.x, y - near.y);
    };
    for (const one of targets) {
      if (one.box.width < 1 || Math.min(one.box.height, one.box.width) >= 24) continue;
      const close = targets.find((other) => other !== one && apart(one, other) < 12);
      if (close) faults.push(`a target of ${Math.round(one.box.height)} px beside another: ${say(one.node)}, ${say(close.node)}`);
    }
  }
  return faults;
}
