//! Who may act: a pure table over risk, tier, mode and approval.

use crate::model::{Approval, AutonomyTier, Decision, Mode, RiskLevel};

/// Whether a playbook may act (SPEC.md, "Each playbook has"). The stricter of tier and risk counts,
/// so that a tier that is too low for its risk opens no door.
pub fn decide(risk: RiskLevel, tier: AutonomyTier, mode: Mode, approval: Approval) -> Decision {
    if mode == Mode::Observe {
        return Decision::ObserveOnly;
    }
    match tier.max(least_tier(risk)) {
        AutonomyTier::Auto => Decision::Apply,
        AutonomyTier::Notify => Decision::ApplyAndNotify,
        AutonomyTier::Approve => match approval {
            Approval::None => Decision::NeedsApproval,
            Approval::Person | Approval::Quorum => Decision::Apply,
        },
        AutonomyTier::Parliament => match approval {
            Approval::None | Approval::Person => Decision::NeedsQuorum,
            Approval::Quorum => Decision::Apply,
        },
    }
}

fn least_tier(risk: RiskLevel) -> AutonomyTier {
    match risk {
        RiskLevel::Low => AutonomyTier::Auto,
        RiskLevel::Medium => AutonomyTier::Notify,
        RiskLevel::High => AutonomyTier::Approve,
        RiskLevel::Critical => AutonomyTier::Parliament,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use AutonomyTier::{Approve, Auto, Notify, Parliament};
    use Decision::{Apply, ApplyAndNotify, NeedsApproval, NeedsQuorum, ObserveOnly};
    use RiskLevel::{Critical, High, Low, Medium};

    /// Risk, tier, and what is decided without approval, with a person's and with a quorum's.
    const TABLE: [(RiskLevel, AutonomyTier, [Decision; 3]); 16] = [
        (Low, Auto, [Apply, Apply, Apply]),
        (
            Low,
            Notify,
            [ApplyAndNotify, ApplyAndNotify, ApplyAndNotify],
        ),
        (Low, Approve, [NeedsApproval, Apply, Apply]),
        (Low, Parliament, [NeedsQuorum, NeedsQuorum, Apply]),
        (
            Medium,
            Auto,
            [ApplyAndNotify, ApplyAndNotify, ApplyAndNotify],
        ),
        (
            Medium,
            Notify,
            [ApplyAndNotify, ApplyAndNotify, ApplyAndNotify],
        ),
        (Medium, Approve, [NeedsApproval, Apply, Apply]),
        (Medium, Parliament, [NeedsQuorum, NeedsQuorum, Apply]),
        (High, Auto, [NeedsApproval, Apply, Apply]),
        (High, Notify, [NeedsApproval, Apply, Apply]),
        (High, Approve, [NeedsApproval, Apply, Apply]),
        (High, Parliament, [NeedsQuorum, NeedsQuorum, Apply]),
        (Critical, Auto, [NeedsQuorum, NeedsQuorum, Apply]),
        (Critical, Notify, [NeedsQuorum, NeedsQuorum, Apply]),
        (Critical, Approve, [NeedsQuorum, NeedsQuorum, Apply]),
        (Critical, Parliament, [NeedsQuorum, NeedsQuorum, Apply]),
    ];

    #[test]
    fn the_whole_table() {
        for (risk, tier, decisions) in TABLE {
            let approvals = [Approval::None, Approval::Person, Approval::Quorum];
            for (approval, expected) in approvals.into_iter().zip(decisions) {
                let heal = decide(risk, tier, Mode::Heal, approval);
                assert_eq!(heal, expected, "{risk} {tier} {approval:?}");
                assert_eq!(decide(risk, tier, Mode::Observe, approval), ObserveOnly);
            }
        }
    }
}
