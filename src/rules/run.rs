//! Evaluates a file statement by statement, so that whoever is called knows where in the file that is.

use rhai::{
    AST, ASTNode, Caches, Engine, EvalAltResult, EvalContext, Expr, Expression, GlobalRuntimeState,
    Position, Scope, Stmt, StmtBlock,
};

/// Runs the top level of a file; `before` is told of each statement. Gives what the file imported and
/// called constant.
pub(crate) fn run(
    engine: &Engine,
    ast: &AST,
    mut before: impl FnMut(&Stmt, &GlobalRuntimeState),
) -> Result<GlobalRuntimeState, Box<EvalAltResult>> {
    let mut global = engine.new_global_runtime_state();
    global.source = ast.source().map(Into::into);
    global.lib.push(ast.shared_lib().clone());
    let (mut scope, mut caches) = (Scope::new(), Caches::new());
    for statement in ast.statements() {
        before(statement, &global);
        let place = statement.position();
        let block = Expr::Stmt(StmtBlock::new([statement.clone()], place, place).into());
        let expression = Expression::from(&block);
        let mut context = EvalContext::new(engine, &mut global, &mut caches, &mut scope, None);
        #[expect(deprecated, reason = "not deprecated, but said to be volatile: Rhai is pinned")]
        let done = context.eval_expression_tree_raw(&expression, false);
        match done.map_err(|error| *error) {
            Ok(_) => {}
            Err(EvalAltResult::Return(..) | EvalAltResult::Exit(..)) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(global)
}

/// Where a statement calls a library first; where it begins, if it does not.
pub(crate) fn called(statement: &Stmt) -> Position {
    let mut found = None;
    statement.walk(&mut Vec::new(), &mut |path: &[ASTNode]| {
        if let Some(
            ASTNode::Stmt(Stmt::FnCall(call, position))
            | ASTNode::Expr(Expr::FnCall(call, position)),
        ) = path.last()
            && call.is_qualified()
        {
            found = found.or(Some(*position));
        }
        found.is_none()
    });
    found.unwrap_or(statement.position())
}
