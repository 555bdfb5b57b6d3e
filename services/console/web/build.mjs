// Builds the web application into the given folder: one page, and assets whose names contain their hash.
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { build } from "esbuild";

const [folder] = process.argv.slice(2);
if (folder === undefined) {
  throw new Error("usage: node build.mjs FOLDER");
}
await rm(folder, { recursive: true, force: true });
await mkdir(join(folder, "assets"), { recursive: true });

const { metafile } = await build({
  entryPoints: ["src/main.tsx", "src/style.css", "src/icon.svg"],
  outdir: join(folder, "assets"),
  entryNames: "[name]-[hash]",
  assetNames: "[name]-[hash]",
  bundle: true,
  minify: true,
  format: "esm",
  target: ["es2022"],
  jsx: "automatic",
  jsxImportSource: "preact",
  loader: { ".svg": "copy" },
  metafile: true,
  logLevel: "warning",
});

let page = await readFile("src/index.html", "utf8");
for (const [path, { entryPoint }] of Object.entries(metafile.outputs)) {
  if (entryPoint !== undefined) {
    page = page.replace(`{{${basename(entryPoint)}}}`, `/assets/${basename(path)}`);
  }
}
if (page.includes("{{")) {
  throw new Error("index.html names a file that was not built; add it to entryPoints");
}
await writeFile(join(folder, "index.html"), page);
