// Models and their prices.
import { useState } from "preact/hooks";
import { get } from "../api";
import { Field } from "../fields";
import { money, shortCount } from "../format";
import { useLoad } from "../load";
import { Card, type Column, Empty, Page, Show, Table } from "../parts";
import type { Price, PricedModel, PriceList } from "../types";

const SHOWN = 100;

interface Row extends PricedModel {
  price: Price;
}

/** The current price. Versions are ordered oldest first. */
function current(model: PricedModel, now: number): Row[] {
  const price = model.versions.findLast((version) => Date.parse(version.valid_from) <= now);
  return price ? [{ ...model, price }] : [];
}

export function Models() {
  const [search, setSearch] = useState("");
  const [isWhole, setWhole] = useState(false);
  const prices = useLoad((signal) => get<PriceList>("billing/v1/prices", {}, signal), []);
  return (
    <Page title="Models">
      <Card>
        <div class="choices filters">
          <Field label="Search" type="search" placeholder="model or provider" value={search} onValue={setSearch} />
        </div>
        <p class="hint">List prices in USD per million tokens. Your plan may multiply them.</p>
        <Show of={prices}>
          {({ data }) => {
            const words = search.toLowerCase().split(/\s+/);
            const rows = data
              .flatMap((model) => current(model, Date.now()))
              .filter(({ model, provider }) =>
                words.every((word) => `${provider} ${model}`.toLowerCase().includes(word)),
              );
            if (rows.length === 0) {
              return <Empty>{data.length === 0 ? "No model has a price yet." : "No matching models."}</Empty>;
            }
            return (
              <>
                <Table
                  caption="Models"
                  columns={columns(rows)}
                  rows={isWhole ? rows : rows.slice(0, SHOWN)}
                  id={(row) => row.model}
                />
                {!isWhole && rows.length > SHOWN && (
                  <button type="button" onClick={() => setWhole(true)}>
                    Show all {rows.length}
                  </button>
                )}
              </>
            );
          }}
        </Show>
      </Card>
    </Page>
  );
}

function price(name: string): (row: Row) => string {
  return ({ price: { prices } }) => {
    const nano = prices[name];
    return nano === undefined ? "–" : money(nano);
  };
}

function tokens(value: number | null): string {
  return value === null ? "–" : shortCount(value);
}

const COLUMNS: Column<Row>[] = [
  { head: "Model", cell: (row) => <span class="name">{row.model}</span> },
  { head: "Provider", cell: (row) => row.provider },
  { head: "Input", numeric: true, cell: price("input") },
  { head: "Cached input", numeric: true, cell: price("cached_input") },
  { head: "Output", numeric: true, cell: price("output") },
  { head: "Context", numeric: true, cell: (row) => tokens(row.context_tokens) },
];

/** The column of output limits appears only if an operator has set any. */
function columns(rows: Row[]): Column<Row>[] {
  if (rows.every((row) => row.max_output_tokens === null)) return COLUMNS;
  return [...COLUMNS, { head: "Max output", numeric: true, cell: (row) => tokens(row.max_output_tokens) }];
}
