//! Where things stand in a file: the keys of every `rule(…)` by the place of its call.

use std::collections::HashMap;

use rhai::{AST, ASTNode, Expr, FnCallExpr, Position, Stmt};

/// The places of the keys of a file's rules.
#[derive(Debug, Default)]
pub(crate) struct Sites {
    keys: HashMap<(usize, usize), Vec<(String, Position)>>,
}

impl Sites {
    /// Looks through a tree that was not optimised.
    pub(crate) fn of(ast: &AST) -> Self {
        let mut sites = Self::default();
        ast.walk(&mut |path: &[ASTNode]| {
            if let Some(
                ASTNode::Stmt(Stmt::FnCall(call, position))
                | ASTNode::Expr(Expr::FnCall(call, position)),
            ) = path.last()
            {
                sites.note(call, *position);
            }
            true
        });
        sites
    }

    fn note(&mut self, call: &FnCallExpr, position: Position) {
        if call.name != "rule" {
            return;
        }
        let Some(Expr::Map(map, _)) = call.args.get(1) else { return };
        let keys = map.0.iter().map(|(key, _)| (key.name.to_string(), key.pos));
        self.keys.insert(spot(position), keys.collect());
    }

    /// Where `key` stands in the map of the call at `call`.
    pub(crate) fn key(&self, call: Position, key: &str) -> Option<Position> {
        let keys = self.keys.get(&spot(call))?;
        keys.iter().find(|(name, _)| name == key).map(|(_, position)| *position)
    }
}

/// A position that can be compared.
pub(crate) fn spot(position: Position) -> (usize, usize) {
    (position.line().unwrap_or(0), position.position().unwrap_or(0))
}
