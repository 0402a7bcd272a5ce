/**
 * How a report's page looks: light and dark, from phones up, printable.
 *
 * @module
 */

/** The page's style sheet. Every text has a contrast of at least 4.5 to 1 against what it stands on. */
export const STYLE = `
:root { color-scheme: light dark; --back: #fff; --card: #f6f8fa; --text: #1b1f24; --soft: #57606a; --edge: #d0d7de;
  --line: #0b5cad; --bad: #b3261e; --good: #1a6b32; }
@media (prefers-color-scheme: dark) { :root { --back: #14171a; --card: #1d2126; --text: #e6e8ea; --soft: #a6b0ba; --edge: #3b434b;
  --line: #7db7ff; --bad: #ff9d94; --good: #7fd79a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1rem; background: var(--back); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.25rem; margin: 2rem 0 .5rem; overflow-wrap: anywhere; }
h3 { font-size: 1.05rem; margin: 0; } p { margin: .25rem 0; } .soft { color: var(--soft); }
.grid-of { display: grid; gap: 1rem; margin-top: 1rem; } @media (min-width: 46rem) { .grid-of { grid-template-columns: 1fr 1fr; } }
.card { background: var(--card); border: 1px solid var(--edge); border-radius: .5rem; padding: .75rem; min-width: 0; }
svg { display: block; width: 100%; height: auto; margin: .5rem 0; }
svg text { font: 11px system-ui, sans-serif; fill: var(--soft); } svg .target-text { fill: var(--bad); font-weight: 600;
  paint-order: stroke; stroke: var(--card); stroke-width: 3px; }
.grid { stroke: var(--edge); stroke-width: .5; } .line { fill: none; stroke: var(--line); stroke-width: 1.5; stroke-linejoin: round; }
.dot { fill: var(--line); } .hollow { fill: var(--card); stroke: var(--line); stroke-width: 1.5; }
.failed { fill: none; stroke: var(--bad); stroke-width: 2; } .target { stroke: var(--bad); stroke-width: 1; stroke-dasharray: 5 3; }
.scroll { overflow: auto; max-height: 24rem; } .scroll:focus-visible, summary:focus-visible { outline: 2px solid var(--line); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .9rem; }
caption { text-align: left; color: var(--soft); padding: .25rem 0; }
th, td { text-align: left; padding: .25rem .5rem; border-bottom: 1px solid var(--edge); white-space: nowrap; }
td.name, td.met, td.missed, tbody th { white-space: normal; min-width: 5.5rem; }
td.name { min-width: 9rem; overflow-wrap: anywhere; }
thead th { position: sticky; top: 0; background: var(--card); }
summary { cursor: pointer; padding: .25rem 0; color: var(--line); } .met { color: var(--good); } .missed { color: var(--bad); font-weight: 600; }
@media print { .scroll { max-height: none; } }
`;
