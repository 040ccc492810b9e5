//! Walks naga's statements and expressions: loops must end, private memory must not be indexed by what is not constant.

use naga::valid::{FunctionInfo, ModuleInfo};
use naga::{
    AddressSpace, BinaryOperator, Block, Expression, Function, Handle, LocalVariable, Module, Statement, TypeInner,
};

type Expr = Handle<Expression>;

/// All functions, the entry point last, with what naga found out about them.
fn functions<'a>(module: &'a Module, info: &'a ModuleInfo) -> impl Iterator<Item = (&'a Function, &'a FunctionInfo)> {
    let named = module.functions.iter().map(|(handle, f)| (f, &info[handle]));
    named.chain(module.entry_points.iter().enumerate().map(|(i, e)| (&e.function, info.get_entry_point(i))))
}

/// Arrays and vectors in private memory, or values of them, whose index is not constant: drivers spill them.
pub fn private_indices(module: &Module, info: &ModuleInfo) -> Vec<String> {
    let mut faults = vec![];
    for (function, info) in functions(module, info) {
        for (_, expression) in function.expressions.iter() {
            let Expression::Access { base, index } = *expression else { continue };
            let private = match *info[base].ty.inner_with(&module.types) {
                TypeInner::Pointer { space, .. } | TypeInner::ValuePointer { space, .. } => {
                    matches!(space, AddressSpace::Function | AddressSpace::Private)
                }
                _ => true,
            };
            if private && constant(module, function, index).is_none() {
                let name = function.name.as_deref().unwrap_or("main");
                let what = root(function, base).and_then(|v| function.local_variables[v].name.clone());
                faults.push(format!(
                    "{name} indexes private {} by what is not constant",
                    what.unwrap_or("values".into())
                ));
            }
        }
    }
    faults
}

/// The local variable that a pointer leads into.
fn root(function: &Function, pointer: Expr) -> Option<Handle<LocalVariable>> {
    match function.expressions[pointer] {
        Expression::LocalVariable(variable) => Some(variable),
        Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => root(function, base),
        _ => None,
    }
}

/// Value of a constant unsigned integer.
fn constant(module: &Module, function: &Function, e: Expr) -> Option<u32> {
    match function.expressions[e] {
        Expression::Literal(literal) => unsigned(literal),
        Expression::Constant(c) => match module.global_expressions[module.constants[c].init] {
            Expression::Literal(literal) => unsigned(literal),
            _ => None,
        },
        _ => None,
    }
}

fn unsigned(literal: naga::Literal) -> Option<u32> {
    match literal {
        naga::Literal::U32(v) => Some(v),
        naga::Literal::I32(v) => v.try_into().ok(),
        _ => None,
    }
}

/// For every loop whether its trips count (more than 32, or as many as a param says), or why nothing says that it ends.
pub fn loops(module: &Module) -> Vec<Result<bool, String>> {
    let entry = module.entry_points.iter().map(|e| &e.function);
    let mut found = vec![];
    for function in module.functions.iter().map(|f| f.1).chain(entry) {
        let name = function.name.as_deref().unwrap_or("main");
        visit(&function.body, &mut |statement| {
            if let Statement::Loop { body, continuing, break_if } = statement {
                let counted = Counted { module, function, body, continuing };
                let end = if break_if.is_some() { None } else { counted.end() };
                found.push(end.ok_or(format!("a loop in {name} is not bounded by a param or a constant")));
            }
        });
    }
    found
}

fn visit<'a>(block: &'a Block, f: &mut impl FnMut(&'a Statement)) {
    for statement in block {
        f(statement);
        match statement {
            Statement::Block(inner) => visit(inner, f),
            Statement::If { accept, reject, .. } => [accept, reject].into_iter().for_each(|b| visit(b, f)),
            Statement::Switch { cases, .. } => cases.iter().for_each(|c| visit(&c.body, f)),
            Statement::Loop { body, continuing, .. } => [body, continuing].into_iter().for_each(|b| visit(b, f)),
            _ => {}
        }
    }
}

/// A loop that goes `for (…; i < bound; i += step)`, or downwards.
struct Counted<'a> {
    module: &'a Module,
    function: &'a Function,
    body: &'a Block,
    continuing: &'a Block,
}

impl Counted<'_> {
    /// Whether its trips count; `None` when nothing says that it ends.
    fn end(&self) -> Option<bool> {
        let first = self.body.iter().find(|s| !matches!(s, Statement::Emit(_)))?;
        let Statement::If { condition, accept, reject } = first else { return None };
        if !accept.is_empty() || !matches!(reject.iter().as_slice(), [Statement::Break]) {
            return None;
        }
        let (test, counter, bound) = self.of_counter(*condition)?;
        let (step, by) = self.step(counter)?;
        let written = [self.written(self.body), self.written(self.continuing)];
        if written[0].contains(&counter) || !self.stable(bound, &written.concat()) {
            return None;
        }
        match (test, step) {
            (BinaryOperator::Less | BinaryOperator::LessEqual, BinaryOperator::Add) if by > 0 => {
                Some(constant(self.module, self.function, bound).is_none_or(|trips| trips > 32))
            }
            (BinaryOperator::Greater, BinaryOperator::Divide) if by > 1 => Some(false),
            // A step of no more than the bound never goes below zero, which would be a huge number.
            (BinaryOperator::GreaterEqual, BinaryOperator::Subtract) if by > 0 => {
                constant(self.module, self.function, bound).filter(|&bound| bound >= by).map(|_| true)
            }
            _ => None,
        }
    }

    /// Operator, counter and other side of `counter op other`.
    fn of_counter(&self, e: Expr) -> Option<(BinaryOperator, Handle<LocalVariable>, Expr)> {
        let Expression::Binary { op, left, right } = self.function.expressions[e] else { return None };
        let Expression::Load { pointer } = self.function.expressions[left] else { return None };
        let Expression::LocalVariable(counter) = self.function.expressions[pointer] else { return None };
        Some((op, counter, right))
    }

    /// Operator and constant of the one step that `counter` makes.
    fn step(&self, counter: Handle<LocalVariable>) -> Option<(BinaryOperator, u32)> {
        let mut stores = self.continuing.iter().filter(|s| !matches!(s, Statement::Emit(_)));
        let Statement::Store { pointer, value } = stores.next()? else { return None };
        let (op, from, by) = self.of_counter(*value)?;
        let alone = stores.next().is_none() && from == counter && root(self.function, *pointer) == Some(counter);
        Some((op, constant(self.module, self.function, by).filter(|_| alone)?))
    }

    /// Local variables that a block may write.
    fn written(&self, block: &Block) -> Vec<Handle<LocalVariable>> {
        let mut pointers = vec![];
        visit(block, &mut |statement| match statement {
            Statement::Store { pointer, .. } => pointers.push(*pointer),
            Statement::Call { arguments, .. } => pointers.extend(arguments),
            _ => {}
        });
        pointers.into_iter().filter_map(|p| root(self.function, p)).collect()
    }

    /// Whether a value comes from params, constants, arguments and variables that the loop does not write.
    fn stable(&self, e: Expr, written: &[Handle<LocalVariable>]) -> bool {
        let stable = |e: &Expr| self.stable(*e, written);
        match &self.function.expressions[e] {
            Expression::Literal(_) | Expression::Constant(_) | Expression::ZeroValue(_) => true,
            Expression::FunctionArgument(_) | Expression::CallResult(_) => true, // a call within the loop comes before its test
            Expression::GlobalVariable(v) => self.module.global_variables[*v].space == AddressSpace::Uniform,
            Expression::LocalVariable(v) => !written.contains(v),
            Expression::Load { pointer: e } | Expression::AccessIndex { base: e, .. } => stable(e),
            Expression::Unary { expr: e, .. } | Expression::As { expr: e, .. } => stable(e),
            Expression::Splat { value: e, .. } | Expression::Swizzle { vector: e, .. } => stable(e),
            Expression::Access { base, index } => stable(base) && stable(index),
            Expression::Binary { left, right, .. } => stable(left) && stable(right),
            Expression::Select { condition, accept, reject } => [condition, accept, reject].into_iter().all(stable),
            Expression::Compose { components, .. } => components.iter().all(stable),
            Expression::Math { arg, arg1, arg2, arg3, .. } => {
                stable(arg) && [arg1, arg2, arg3].into_iter().flatten().all(stable)
            }
            _ => false,
        }
    }
}
