// Stacked bars over time. The pointer or the arrow keys select a bar, whose values appear below.
import { useEffect, useRef, useState } from "preact/hooks";

export interface Series {
  name: string;
  /** One value for each bucket. */
  values: number[];
}

interface ChartProps {
  title: string;
  labels: string[];
  axisLabels: string[];
  series: Series[];
  format: (value: number) => string;
  formatAxis: (value: number) => string;
}

const HEIGHT = 240;
const MARGIN = { top: 12, right: 4, bottom: 26 };
const CHARACTER_WIDTH = 7.5;
const GRID = [0, 0.25, 0.5, 0.75, 1];
const LABEL_WIDTH = 64;

export function StackedBars({ title, labels, axisLabels, series, format, formatAxis }: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(640);
  const [chosen, setChosen] = useState<number | null>(null);

  useEffect(() => {
    if (!box.current) return;
    const observer = new ResizeObserver(([entry]) => entry && setWidth(Math.max(240, entry.contentRect.width)));
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);

  const sums = labels.map((_, at) => series.reduce((sum, one) => sum + (one.values[at] ?? 0), 0));
  const top = niceTop(Math.max(...sums, 0));
  const left = 14 + CHARACTER_WIDTH * Math.max(...GRID.map((part) => formatAxis(top * part).length));
  const inner = { width: width - left - MARGIN.right, height: HEIGHT - MARGIN.top - MARGIN.bottom };
  const step = inner.width / Math.max(1, labels.length);
  const bar = Math.max(1, Math.min(56, step * 0.78));
  const y = (value: number) => MARGIN.top + inner.height * (1 - value / top);
  const shownEvery = Math.max(1, Math.ceil((labels.length * LABEL_WIDTH) / inner.width));

  const spoken = (at: number) =>
    [
      `${labels[at]}: ${format(sums[at] ?? 0)}`,
      ...series.map((one) => `${one.name} ${format(one.values[at] ?? 0)}`),
    ].join(", ");

  const move = (event: KeyboardEvent) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Escape") setChosen(null);
    if (by === undefined) return;
    event.preventDefault();
    setChosen(Math.min(labels.length - 1, Math.max(0, (chosen ?? (by > 0 ? -1 : labels.length)) + by)));
  };
  const point = (event: PointerEvent) => {
    const edge = (event.currentTarget as HTMLElement).getBoundingClientRect().left;
    const at = Math.floor((event.clientX - edge - left) / step);
    setChosen(at >= 0 && at < labels.length ? at : null);
  };

  return (
    <div class="chart" ref={box}>
      <div
        class="bars"
        role="slider"
        aria-label={title}
        aria-valuemin={0}
        aria-valuemax={Math.max(0, labels.length - 1)}
        aria-valuenow={chosen ?? 0}
        aria-valuetext={chosen === null ? "select a bar with the arrow keys" : spoken(chosen)}
        tabIndex={0}
        onKeyDown={move}
        onPointerMove={point}
        onPointerLeave={() => setChosen(null)}
        onBlur={() => setChosen(null)}
      >
        <svg width={width} height={HEIGHT} viewBox={`0 0 ${width} ${HEIGHT}`} aria-hidden="true">
          {GRID.map((part) => (
            <g key={part}>
              <line class="grid" x1={left} x2={width - MARGIN.right} y1={y(top * part)} y2={y(top * part)} />
              <text class="axis" x={left - 8} y={y(top * part) + 4} text-anchor="end">
                {formatAxis(top * part)}
              </text>
            </g>
          ))}
          {chosen !== null && (
            <rect class="chosen" x={left + chosen * step} y={MARGIN.top} width={step} height={inner.height} />
          )}
          {labels.map((label, at) => (
            <g key={label + String(at)}>
              {stacked(series, at).map(({ from, to, index }) => (
                <rect
                  key={index}
                  class={`s${index % 7}`}
                  x={left + at * step + (step - bar) / 2}
                  y={y(to)}
                  width={bar}
                  height={Math.max(0, y(from) - y(to))}
                />
              ))}
              {at % shownEvery === 0 && (
                <text class="axis" x={left + (at + 0.5) * step} y={HEIGHT - 8} text-anchor="middle">
                  {axisLabels[at]}
                </text>
              )}
            </g>
          ))}
        </svg>
      </div>
      <div class="values">
        {chosen === null ? (
          <ul class="legend">
            {series.map((one, index) => (
              <li key={one.name}>
                <Swatch index={index} /> {one.name}
              </li>
            ))}
          </ul>
        ) : (
          <ul class="legend">
            <li>
              <strong>{labels[chosen]}</strong> {format(sums[chosen] ?? 0)}
            </li>
            {series.map(
              (one, index) =>
                (one.values[chosen] ?? 0) > 0 && (
                  <li key={one.name}>
                    <Swatch index={index} /> {one.name} {format(one.values[chosen] ?? 0)}
                  </li>
                ),
            )}
          </ul>
        )}
      </div>
    </div>
  );
}

function Swatch({ index }: { index: number }) {
  return (
    <svg class="swatch" width="12" height="12" aria-hidden="true">
      <rect class={`s${index % 7}`} width="12" height="12" rx="3" />
    </svg>
  );
}

function stacked(series: Series[], at: number): { from: number; to: number; index: number }[] {
  let from = 0;
  return series.flatMap((one, index) => {
    const value = one.values[at] ?? 0;
    if (value <= 0) return [];
    const part = { from, to: from + value, index };
    from += value;
    return [part];
  });
}

/** The smallest of 1, 2, 2.5, 5 and 10 times a power of ten that is at least `max`. */
function niceTop(max: number): number {
  if (max <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(max));
  return (([1, 2, 2.5, 5, 10].find((factor) => factor * power >= max) ?? 10) as number) * power;
}
