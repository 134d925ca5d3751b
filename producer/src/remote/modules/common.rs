//! CommonJS modules as the ES modules that servers for browsers make of them.

use std::collections::BTreeSet;

use serde_json::json;

/// What is there in Node.js alone: asked for where a browser does not come.
const OF_NODE: [&str; 18] = [
    "assert",
    "async_hooks",
    "buffer",
    "child_process",
    "crypto",
    "events",
    "fs",
    "http",
    "https",
    "module",
    "net",
    "os",
    "path",
    "stream",
    "tty",
    "url",
    "util",
    "zlib",
];

/// An ES module around a CommonJS one, whose code has a function of its own. It exports what the code does as its default and,
/// as far as they are known, by `names`; and as a whole for others that are made of CommonJS modules (as Node.js calls it).
pub(super) fn as_module(code: &str, requires: &BTreeSet<String>, names: &BTreeSet<String>) -> String {
    let is_there = |name: &&String| !OF_NODE.contains(&name.strip_prefix("node:").unwrap_or(name));
    let (mut imports, mut known) = (String::new(), String::new());
    for (index, name) in requires.iter().filter(is_there).enumerate() {
        imports += &format!("import * as __required{index} from {};", json!(name));
        known += &format!("{}: __required{index},", json!(name));
    }
    let named = |bind: &dyn Fn(usize, &str) -> String| {
        names.iter().enumerate().map(|(index, name)| bind(index, name)).collect::<String>()
    };
    let values = named(&|index, name| format!("{name}: __export{index},"));
    let exports = named(&|index, name| format!(", __export{index} as {name}"));
    // On one line, so that the code keeps its lines.
    format!(
        "{imports}const __known = {{{known}}};\
         const __require = (name) => {{ const found = __known[name] ?? {{}}; return \"module.exports\" in found ? found[\"module.exports\"] : found; }};\
         const __module = {{ exports: {{}} }};(function (module, exports, require, global, process) {{{code}\n\
         }}).call(__module.exports, __module, __module.exports, __require, globalThis, {{ env: {{ NODE_ENV: \"production\" }} }});\n\
         const __exports = __module.exports;\n\
         export default __exports?.__esModule && \"default\" in __exports ? __exports.default : __exports;\n\
         const {{ {values} }} = Object(__exports);\n\
         export {{ __exports as \"module.exports\"{exports} }};\n"
    )
}

#[cfg(test)]
mod tests {
    use super::{super::scan, *};

    #[test]
    fn a_module_is_made_that_imports_and_exports_the_same() {
        let code = "'use strict'; var a = require('a'); if (x) { require(\"node:fs\"); require(b) }\n\
            exports.one = 1; exports[\"two\"] = a; module.exports.three = 3; Object.defineProperty(exports, 'four', {}); \
            exports.__esModule = true; if (exports.five == 1 || y.require('c')) {} exports['not a name'] = 6; exports.default = 7;";
        let found = scan(code);
        assert_eq!(found.common.requires.iter().collect::<Vec<_>>(), ["a", "node:fs"]);
        let names = found.common.names;
        assert_eq!(names.iter().map(String::as_str).collect::<Vec<_>>(), ["four", "one", "three", "two"]);
        let made = scan(&as_module(code, &found.common.requires, &names));
        assert!(made.is_module && made.has_default);
        assert_eq!(made.imports.iter().map(|import| &*import.name).collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn what_is_exported_as_a_whole_is_known() {
        let again = |code: &str| (scan(code).common.again, scan(code).common.names.into_iter().collect::<Vec<_>>());
        let none = Vec::<String>::new;
        assert_eq!(again("module.exports = require('./cjs/x.js');"), (vec!["./cjs/x.js".to_owned()], none()));
        assert_eq!(again("__exportStar(require('./x'), exports)"), (vec!["./x".to_owned()], none()));
        let names = ["a", "b", "c"].map(str::to_owned).to_vec();
        assert_eq!(again("module.exports = { a, b: x, 'c': y, ...z, d }"), (none(), names));
        assert_eq!(again("module.exports = function () {}"), (none(), none()));
    }
}
