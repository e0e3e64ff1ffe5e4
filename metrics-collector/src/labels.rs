//! Labels in one spelling: a compact JSON object whose keys are sorted, so that equal labels are equal text.
