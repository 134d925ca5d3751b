//! Values as JSON text: as trees, those of ten thousand objects would be most of the memory.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};

/// A value, written down.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Text(Box<RawValue>);

impl Text {
    pub(super) fn of(value: &impl Serialize) -> Self {
        let text = serde_json::value::to_raw_value(value);
        Self(text.unwrap_or_else(|error| unreachable!("it was read from YAML: {error}")))
    }

    /// The value; `None` when it is of another type.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(self.0.get()).ok()
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        // Another version of this program may have written the same with its members in another order.
        self.0.get() == other.0.get() || self.read::<Value>() == other.read::<Value>()
    }
}
