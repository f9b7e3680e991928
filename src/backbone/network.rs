//! A network read and made ready: checked, in float, for one image of a known size; and what its taps are.

use std::collections::HashMap;

use prost::Message;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, ModelProto};

use super::declaration;
use super::engine::{self, Fact};
use super::error::BackboneError;
use super::head::Head;
use super::input_spec::InputSpec;
use super::last_layer;
use super::names::{TapChoice, Taps};
use super::node;
use super::quantised::{self, Rewritten};
use super::taps::{Map, Search, known};
use super::tensor::{Constant, volume};
use super::wiring::{self, Wiring};

/// A network in float, for one image.
pub(super) struct Network {
    pub(super) model: ModelProto,
    pub(super) spec: InputSpec,
    pub(super) shape: [usize; 4],
    pub(super) rewritten: Rewritten,
    pub(super) facts: HashMap<String, Fact>,
}

/// What to read from a network, and how.
pub(super) struct Plan {
    pub(super) taps: Taps,
    pub(super) head: Option<Head>,
    map: Option<Map>,
    /// The feature is the spatial mean of its tensor.
    pooled: bool,
}

impl Network {
    /// Reads, checks and rewrites the file. `size` gives the shape of one image where the file leaves it open.
    pub(super) fn read(
        onnx: &[u8],
        size: impl FnOnce(&InputSpec) -> Option<[usize; 4]>,
    ) -> Result<Network, BackboneError> {
        let mut model = ModelProto::decode(onnx).map_err(|e| BackboneError::NotOnnx(e.to_string()))?;
        if model.graph.is_none() {
            return Err(BackboneError::NotOnnx("it holds no graph".to_owned()));
        }
        let graph = wiring::tidy(&mut model)?;
        let spec = InputSpec::read(graph)?;
        let shape = spec.pin(size(&spec))?;
        declaration::write(graph, &spec, shape);
        let rewritten = quantised::rewrite(graph)?;
        if let Some(outside) = graph.initializer.iter().find(|t| t.data_location == Some(1)) {
            return Err(BackboneError::ExternalData(outside.name.clone()));
        }
        let facts = engine::facts(&model)?;
        Ok(Network { model, spec, shape, rewritten, facts })
    }

    pub(super) fn graph(&self) -> Result<&GraphProto, BackboneError> {
        self.model.graph.as_ref().ok_or(BackboneError::Empty("graph"))
    }

    /// Finds the taps, with the user's choice put first.
    pub(super) fn plan(&self, choice: &TapChoice) -> Result<Plan, BackboneError> {
        let graph = self.graph()?;
        let wiring = Wiring::new(graph);
        let search = Search { wiring: &wiring, facts: &self.facts };
        let named = [("feature", &choice.feature), ("logits", &choice.logits), ("map", &choice.map)];
        for (role, name) in named {
            if let Some(name) = name {
                known(role, name, &wiring)?;
            }
        }
        let outputs = || graph.output.iter().map(|o| o.name.as_str());
        let found = match &choice.logits {
            Some(name) => search.classifier(name),
            None => outputs().find_map(|o| search.classifier(o)),
        };
        if let (Some(name), None, None) = (&choice.logits, &found, &choice.feature) {
            return Err(BackboneError::NoClassifier(name.clone()));
        }
        let own = found.as_ref().map(|f| search.real_input(node::input(f.layer, 0).unwrap_or_default()));
        let feature = match (&choice.feature, &own) {
            (Some(name), _) | (None, Some(name)) => name.clone(),
            (None, None) => outputs().next().unwrap_or_default().to_owned(),
        };
        let automatic = own.as_ref() == Some(&feature);
        let logits = choice.logits.clone().or_else(|| {
            found.as_ref().map(|f| f.logits.clone()).filter(|l| *l != feature && !outputs().any(|o| o == feature))
        });
        let head = found
            .as_ref()
            .filter(|f| automatic && !f.pooled && logits.as_ref() == Some(&f.logits))
            .and_then(|f| last_layer::read(&self.model, &wiring, f, &self.rewritten));
        let pooled = automatic && found.as_ref().is_some_and(|f| f.pooled);
        let map = match &choice.map {
            Some(name) => Some(self.chosen_map(name, &feature)?),
            None if pooled => Some(Map { tensor: feature.clone(), channels_last: false }),
            None => search.map_of(&feature),
        };
        let taps = Taps { feature, logits, map: map.as_ref().map(|m| m.tensor.clone()) };
        Ok(Plan { taps, head, map, pooled })
    }

    fn chosen_map(&self, name: &str, feature: &str) -> Result<Map, BackboneError> {
        let shape = |tensor: &str| self.facts.get(tensor).and_then(Fact::full);
        let refuse = |what: &str| BackboneError::Role { role: "map", name: name.to_owned(), what: what.to_owned() };
        let dim = shape(feature).and_then(|s| volume(&s));
        match shape(name).as_deref() {
            Some([1, c, ..]) if Some(*c) == dim && shape(name).is_some_and(|s| s.len() == 4) => {
                Ok(Map { tensor: name.to_owned(), channels_last: false })
            }
            Some([1, _, _, c]) if Some(*c) == dim => Ok(Map { tensor: name.to_owned(), channels_last: true }),
            Some(other) => Err(refuse(&format!("its shape is {other:?}, it needs as many channels as the feature"))),
            None => Err(refuse("its shape cannot be inferred")),
        }
    }

    /// The graph with the taps as its outputs: feature, then logits and map where there are any.
    pub(super) fn tapped(&self, plan: &Plan) -> Result<ModelProto, BackboneError> {
        let mut model = self.model.clone();
        let graph = model.graph.as_mut().ok_or(BackboneError::Empty("graph"))?;
        let mut outputs = vec![];
        let mut tap = |role: &str, tensor: &str, then: &dyn Fn(&str, &str) -> Option<tract_onnx::pb::NodeProto>| {
            let mut at = tensor.to_owned();
            if let Some(q) = self.rewritten.activations.get(tensor) {
                let (scale, scaled) = (format!("#{role}.scale"), format!("#{role}.real"));
                graph.initializer.push(Constant::scalar(q.scale).write(&scale));
                graph.node.push(node::make("Mul", &[&at, &scale], &scaled));
                at = scaled;
            }
            let float = format!("#{role}.float");
            let mut cast = node::make("Cast", &[&at], &float);
            cast.attribute = vec![node::int_attribute("to", DataType::Float as i64)];
            graph.node.push(cast);
            at = float;
            let shaped = format!("#{role}.shaped");
            if let Some(last) = then(&at, &shaped) {
                graph.node.push(last);
                at = shaped;
            }
            outputs.push(at);
        };
        tap("feature", &plan.taps.feature, &|from, to| {
            plan.pooled.then(|| node::make("GlobalAveragePool", &[from], to))
        });
        if let Some(logits) = &plan.taps.logits {
            tap("logits", logits, &|_, _| None);
        }
        if let Some(map) = &plan.map {
            tap("map", &map.tensor, &|from, to| {
                map.channels_last.then(|| {
                    let mut turn = node::make("Transpose", &[from], to);
                    turn.attribute = vec![node::ints_attribute("perm", &[0, 3, 1, 2])];
                    turn
                })
            });
        }
        let names: Vec<&str> = outputs.iter().map(String::as_str).collect();
        wiring::prune(graph, &names);
        engine::check_operators(&model)?;
        Ok(model)
    }
}
