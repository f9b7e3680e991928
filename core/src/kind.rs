//! The scores by name. Every one is oriented so that a low value means unfamiliar.

use serde::{Deserialize, Serialize};

/// A way to say how familiar an image is, computed from its feature and logits. Low means unfamiliar.
///
/// ```
/// use shelfwatch_core::ScoreKind;
/// assert_eq!(ScoreKind::from_name("neco-ml"), Some(ScoreKind::NecoMl));
/// assert_eq!(ScoreKind::Neco.name(), "neco");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ScoreKind {
    /// Maximum softmax probability (Hendrycks and Gimpel 2017).
    Msp,
    /// Largest logit (Hendrycks et al. 2022).
    MaxLogit,
    /// `logsumexp(l)` (Liu et al. 2020).
    Energy,
    /// `−Σ_topM p^γ (1−p)^γ`, γ = 0.1 (Liu et al. 2023).
    Gen,
    /// `‖P(h−μ)‖ / ‖h−μ‖`, PCA of centred, unscaled features (Ben Ammar et al. 2024, own variant).
    Neco,
    /// As `Neco` on standardised features, as the released reference does.
    NecoStd,
    /// `Neco` times the largest logit.
    NecoMl,
    /// `NecoStd` times the largest logit.
    NecoStdMl,
    /// `−‖Nᵀ(h−u)‖`, the negated norm outside `ViM`'s principal space (Wang et al. 2022).
    Residual,
    /// `logsumexp(l) − α‖Nᵀ(h−u)‖` (Wang et al. 2022).
    Vim,
    /// `−min_c (h−μ_c)ᵀΣ⁻¹(h−μ_c)` (Lee et al. 2018).
    Mahalanobis,
    /// Mahalanobis on `h/‖h‖` (Müller and Hein 2025).
    MahalanobisPp,
    /// Negated distance of `h/‖h‖` to its k-th neighbour in a bank (Sun et al. 2022).
    Knn,
    /// `w_ŷᵀ(h−μ)/‖h−μ‖ + α‖h‖₁` (Liu and Qin 2025).
    Nci,
    /// Mean distance to the decision boundaries over `‖h−μ‖` (Liu and Qin 2024).
    Fdbd,
}

impl ScoreKind {
    /// Every score, in the order of the reports.
    pub const ALL: [Self; 15] = [
        Self::Neco,
        Self::NecoStd,
        Self::NecoMl,
        Self::NecoStdMl,
        Self::Residual,
        Self::Vim,
        Self::Mahalanobis,
        Self::MahalanobisPp,
        Self::Knn,
        Self::Nci,
        Self::Fdbd,
        Self::Msp,
        Self::MaxLogit,
        Self::Energy,
        Self::Gen,
    ];

    /// The name used on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Msp => "msp",
            Self::MaxLogit => "maxlogit",
            Self::Energy => "energy",
            Self::Gen => "gen",
            Self::Neco => "neco",
            Self::NecoStd => "neco-std",
            Self::NecoMl => "neco-ml",
            Self::NecoStdMl => "neco-std-ml",
            Self::Residual => "residual",
            Self::Vim => "vim",
            Self::Mahalanobis => "mahalanobis",
            Self::MahalanobisPp => "mahalanobis++",
            Self::Knn => "knn",
            Self::Nci => "nci",
            Self::Fdbd => "fdbd",
        }
    }

    /// The score of that name, or `None`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether the classifier's logits enter the score.
    pub const fn needs_logits(self) -> bool {
        matches!(
            self,
            Self::Msp
                | Self::MaxLogit
                | Self::Energy
                | Self::Gen
                | Self::NecoMl
                | Self::NecoStdMl
                | Self::Vim
                | Self::Nci
                | Self::Fdbd
        )
    }

    /// Whether the classifier's last layer (weights, and for the origin `u = −W⁺b` its bias) enters the score.
    pub const fn needs_head(self) -> bool {
        matches!(self, Self::Residual | Self::Vim | Self::Nci | Self::Fdbd)
    }
}
